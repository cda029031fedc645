/** Chains in temporary folders, and the program run on them. */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { RunResult } from "../runtime/engine/result.js";

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
export const MAIN = join(ROOT, "dist", "runtime", "cli", "main.js");
/** Captures and rules from elsewhere; may be absent. */
export const DATA = process.env["WINGBEAT_DATA"] ?? join(ROOT, "..", "shared", "data");

const folders: string[] = [];
process.on("exit", () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A temporary folder with these files in it; objects are written as JSON. Removed at exit. */
export function folder(files: Record<string, string | object> = {}): string {
  const path = mkdtempSync(join(tmpdir(), "wingbeat-test-"));
  folders.push(path);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), typeof content === "string" ? content : JSON.stringify(content));
  }
  return path;
}

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program to its end; a hang ends after a minute with code null. */
export function wingbeat(args: readonly string[], cwd: string, environment: Record<string, string> = {}): Finished {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    cwd,
    env: { ...process.env, ...environment },
    encoding: "utf8",
    timeout: 150_000,
  });
  return { code: status, stdout, stderr };
}

/** `run CHAIN ARGS --json - --quiet`, which must succeed. */
export function run(cwd: string, chain: string, ...args: string[]): RunResult {
  const done = wingbeat(["run", chain, ...args, "--json", "-", "--quiet"], cwd);
  if (done.code !== 0) throw new Error(`run ${args.join(" ")} ended with ${done.code}: ${done.stderr}`);
  return JSON.parse(done.stdout) as RunResult;
}

/** Runs the program and interrupts it once `ready` says so. */
export function interrupted(
  args: readonly string[],
  cwd: string,
  ready: () => boolean,
  signal: NodeJS.Signals,
): Promise<Finished> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [MAIN, ...args], { cwd });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (text) => {
      stdout += text;
    });
    child.stderr.on("data", (text) => {
      stderr += text;
    });
    const guard = setTimeout(() => child.kill("SIGKILL"), 120_000);
    const looks = setInterval(() => {
      if (!ready()) return;
      clearInterval(looks);
      child.kill(signal);
    }, 20);
    child.on("close", (code) => {
      clearTimeout(guard);
      clearInterval(looks);
      resolve({ code, stdout, stderr });
    });
  });
}

const KEYS = {
  cipher: "aes-128-cbc",
  cipher_key: "00112233445566778899aabbccddeeff",
  auth: "sha1-hmac",
  auth_key: "0".repeat(40),
};

/** SAs of a tunnel from 192.0.2.1 to 192.0.2.2, by direction. */
export function sa(direction: "in" | "out", more: object = {}): object {
  return { name: `${direction}-1`, direction, spi: 300, src: "192.0.2.1", dst: "192.0.2.2", ...KEYS, ...more };
}

/** Traffic of several types through ipsec, nids and router, as the README's first chain but with everything in one file. */
export function gateway(count = 6000): Record<string, string | object> {
  return {
    "chain.json": {
      name: "gateway",
      ports: {
        in: {
          driver: "generator",
          count,
          flows: 300,
          hits: 0.02,
          rules: "local.rules",
          src: "10.1.0.0/16",
          streams: [
            { weight: 3, dst: "10.2.0.0/16", size: "imix", payload: "text" },
            { weight: 3, dst: "198.18.0.0/15", proto: "tcp", dport: 80, payload: "text", size: "imix" },
            { weight: 2, dst: "198.18.0.0/15", proto: "udp", dport: 5060, size: 214 },
            { weight: 1, src: "2001:2::/49", dst: "2001:2:0:8000::/49", size: 300 },
            { weight: 1, dst: "100.64.0.0/10", size: 64 },
          ],
        },
        out: { driver: "null" },
        lan: { driver: "null" },
      },
      types: {
        tunnel: { proto: "esp", dst: "192.0.2.2" },
        branch: { dst: "10.2.0.0/16" },
        web: { proto: "tcp", dport: 80 },
        v6: { dst: "::/0" },
      },
      nfs: {
        protect: { type: "ipsec", config: { sas: "out.json" } },
        open: { type: "ipsec", config: { sas: "in.json" } },
        nids: { type: "nids", config: { rules: "local.rules", alerts: "alerts.jsonl" } },
        router: { type: "router", config: { routes: "routes.txt" } },
      },
      policy: "policy.csv",
    },
    "policy.csv": [
      "packet type,current NF,next NF",
      "branch,ingress,protect",
      "web,ingress,nids",
      "*,ingress,router",
      "v6,ingress,egress:out",
      // The far end of the tunnel is the same box here, so that one run protects and opens.
      "*,protect,open",
      "*,open,nids",
      "*,nids,router",
      "v6,nids,egress:lan",
      "web,nids.alert,egress:lan",
      "*,router,egress",
    ].join("\n"),
    "out.json": { sas: [sa("out", { selector: { dst: "10.2.0.0/16" } })] },
    "in.json": { sas: [sa("in")] },
    "routes.txt": "10.0.0.0/8 10.0.0.1 lan\n198.18.0.0/15 192.0.2.254 out\n",
    "local.rules": [
      'alert ip any any -> any any (msg:"a"; content:"cmd.exe"; nocase; sid:1;)',
      'alert tcp any any -> any 80 (msg:"b"; content:"UNION"; content:"SELECT"; distance:1; sid:2;)',
      'drop udp any any -> any any (msg:"c"; content:"EICAR-STANDARD"; sid:3;)',
    ].join("\n"),
  };
}
