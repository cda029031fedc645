/** Where, with what and how an experiment was done: what it takes to repeat it, and what speaks against its figures. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, readFileSync } from "node:fs";
import { availableParallelism, cpus, hostname, loadavg, release, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import type { LoadedChain } from "../chain/load.js";
import { deviceFindings } from "../device/findings.js";
import { isVirtual } from "../native/cpu.js";
import { libraryFindings } from "../native/libraries.js";
import { SystemFiles } from "../native/system-files.js";
import { fileIdentity } from "../nic/drivers.js";
import { openRegular, readOrThrow } from "../nic/pcap/source.js";
import type { Manifest } from "../report/document.js";
import { Neighbours } from "./neighbours.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** npm packages that figures depend on. */
const PACKAGES = ["koffi", "webgpu", "gpu.js"] as const;

export interface ManifestFacts {
  readonly verb: string;
  readonly seed: number;
  /** What is read. */
  readonly files: Manifest["files"];
  readonly meters: Manifest["meters"];
}

/** A manifest in the making: begun before the first sample, so that it knows of the machine as it was meanwhile. */
export class ManifestBuilder {
  private readonly started = new Date();
  private readonly load = loadavg();
  private readonly neighbours: Neighbours;

  /** With what is known of the machine; {@link begin} asks it. */
  constructor(
    private readonly files: SystemFiles,
    private readonly devices: Manifest["devices"],
    private readonly libraries: Manifest["libraries"],
  ) {
    this.neighbours = new Neighbours(files);
  }

  /** Asks the machine, which takes a second or two. */
  static async begin(files = new SystemFiles()): Promise<ManifestBuilder> {
    const [devices, libraries] = await Promise.all([deviceFindings(), libraryFindings()]);
    const there = <T extends { state: string }>(findings: T[]) => findings.filter(({ state }) => state !== "missing");
    return new ManifestBuilder(
      files,
      there(devices).map(({ name, emulated, detail }) => ({ name, emulated: emulated === true, detail })),
      [...there(libraries).map(({ name, detail }) => ({ name, version: detail })), ...packages()],
    );
  }

  /** What the machine did besides, until now: a line each. */
  disturbances(): string[] {
    return this.neighbours.lines();
  }

  /** @param warnings all that qualifies the figures, {@link disturbances} among them */
  end(facts: ManifestFacts, warnings: readonly string[]): Manifest {
    const { files } = this;
    return {
      verb: facts.verb,
      command: ["wingbeat", ...process.argv.slice(2)],
      version: projectVersion(),
      commit: projectCommit(),
      started: this.started.toISOString(),
      ended: new Date().toISOString(),
      seed: facts.seed,
      config_hash: configHash(facts.files),
      files: facts.files,
      machine: {
        hostname: hostname(),
        cpu: cpuModel(files),
        cores: availableParallelism(),
        memory_bytes: totalmem(),
        virtual: isVirtual(files),
        kernel: release(),
        os: operatingSystem(files),
        governor: governor(files),
        node: process.version,
        load_average: this.load,
      },
      devices: this.devices,
      libraries: this.libraries,
      meters: facts.meters,
      warnings,
    };
  }
}

/** The SHA-256 of everything a chain reads: what it writes is not its configuration. */
export function chainFiles(chain: LoadedChain): Manifest["files"] {
  const outputs = new Set(
    [
      ...chain.ports.flatMap(({ tx, config }) => (tx && config.driver === "pcap" ? [config.file] : [])),
      ...chain.nfs.flatMap(({ outputs: paths }) => paths),
    ].map(fileIdentity),
  );
  const inputs = new Map<string, string>();
  for (const { file } of chain.files) {
    const identity = fileIdentity(file);
    if (!outputs.has(identity) && !inputs.has(identity)) inputs.set(identity, file);
  }
  return [...inputs.values()].map((path) => ({ path, sha256: sha256Of(path) }));
}

/** One hash for all files, whatever they are called. */
export function configHash(files: Manifest["files"]): string {
  const hash = createHash("sha256");
  for (const { sha256 } of files) hash.update(`${sha256}\n`);
  return hash.digest("hex");
}

export function cpuModel(files: SystemFiles): string {
  return files.field("/proc/cpuinfo", "model name") ?? cpus()[0]?.model ?? "unknown";
}

export function projectVersion(): string {
  return (JSON.parse(readFileSync(`${ROOT}package.json`, "utf8")) as { version: string }).version;
}

const CHUNK = 1 << 20;

/** Of a file of any size; it is read in pieces. @throws ConfigError where it cannot be read */
function sha256Of(path: string): string {
  const hash = createHash("sha256");
  const chunk = Buffer.allocUnsafe(CHUNK);
  const fd = openRegular(path);
  try {
    const next = () => readOrThrow(path, fd, chunk, 0, CHUNK);
    for (let bytes = next(); bytes > 0; bytes = next()) hash.update(chunk.subarray(0, bytes));
  } finally {
    closeSync(fd);
  }
  return hash.digest("hex");
}

/** Of the checkout this program lies in; null where it is none, or there is no git. */
function projectCommit(): string | null {
  const git = (...args: string[]) => spawnSync("git", ["-C", ROOT, ...args], { encoding: "utf8" });
  // Of a checkout around it, the commit would be another project's.
  if (git("rev-parse", "--show-prefix").stdout?.trim() !== "") return null;
  const { status, stdout } = git("rev-parse", "HEAD");
  if (status !== 0) return null;
  const changed = git("status", "--porcelain", "--untracked-files=no").stdout.trim() !== "";
  return `${stdout.trim()}${changed ? ", with changes" : ""}`;
}

function packages(): { name: string; version: string }[] {
  const { dependencies } = JSON.parse(readFileSync(`${ROOT}package.json`, "utf8")) as {
    dependencies: Record<string, string>;
  };
  return PACKAGES.map((name) => ({ name, version: dependencies[name] ?? "unknown" }));
}

function operatingSystem(files: SystemFiles): string {
  const name = /^PRETTY_NAME="?(.*?)"?$/m.exec(files.text("/etc/os-release") ?? "")?.[1];
  return name ?? process.platform;
}

function governor(files: SystemFiles): string | null {
  const found = files.glob("/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor").map((path) => files.text(path));
  return found.length === 0 ? null : [...new Set(found)].join(", ");
}
