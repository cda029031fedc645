/** What tests of live ports share: a wire chain, traffic, captures, and the frame of a test. */
import { createHash } from "node:crypto";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { RunResult } from "../../runtime/engine/result.js";
import { generate } from "../../runtime/nic/generator/generate.js";
import { folder } from "../chain-support.js";
import { skipUnless } from "../skip.js";
import { readPcap } from "./pcap.js";
import { type Running, Veth, vethLack } from "./veth.js";

const lack = vethLack("tcpreplay", "dumpcap", "ethtool");
/** Few enough to wait in a receive ring all together: nothing is missed, however busy the machine is. */
export const COUNT = 1500;
/** Both ports are open, in whatever order they say so; what is sent from then on is received. */
export const PORTS = /(?=[\s\S]*port in: .* by AF_XDP)(?=[\s\S]*port out: .* by AF_XDP)/;

/** The same by any driver. */
export const OPEN = /(?=[\s\S]*port in: .* by AF)(?=[\s\S]*port out: .* by AF)/;

export const FORWARD = {
  "chain.json": { name: "wire", ports: { in: { driver: "null" }, out: { driver: "null" } }, policy: "policy.csv" },
  "policy.csv": "*,ingress,egress\nnon-ip,ingress,egress\n",
};

let usual: string | undefined;

/** A capture of COUNT frames of several lengths; made once. */
export function traffic(cwd: string): string {
  usual ??= makeTraffic(folder(), [64, 65, 300, 1400], COUNT);
  const file = join(cwd, "in.pcap");
  copyFileSync(usual, file);
  return file;
}

/** A capture of so many frames of these lengths. */
export function makeTraffic(cwd: string, sizes: readonly number[], count: number): string {
  // What gateway() protects, and what it does not.
  const streams = sizes.flatMap((size) =>
    ["10.2.0.0/16", "198.18.0.0/15"].map((dst) => ({ size, payload: "text" as const, src: "10.1.0.0/16", dst })),
  );
  const file = join(cwd, "in.pcap");
  generate(file, { count, flows: 64, streams });
  return file;
}

/** Captures so many frames, then ends by itself. */
export async function capture(
  space: Veth,
  cwd: string,
  name: string,
  count = COUNT,
  file = "out.pcap",
): Promise<Running> {
  const args = ["-q", "-P", "-B", "32", "-c", `${count}`, "-i", name, "-w", join(cwd, file)];
  const running = space.start(cwd, "dumpcap", ...args);
  await running.says(/File: /);
  return running;
}

/** A hash of each frame. */
export const frames = (file: string) =>
  readPcap(file).records.map(({ frame }) => createHash("md5").update(frame).digest("base64"));

/** Hashes of frames by flow: addresses and ports of UDP over IPv4. */
export function byFlow(file: string): Record<string, string[]> {
  const flows: Record<string, string[]> = {};
  const hashes = frames(file);
  for (const [i, { frame }] of readPcap(file).records.entries()) {
    const flow = Buffer.from(frame.subarray(26, 38)).toString("hex");
    flows[flow] ??= [];
    flows[flow].push(hashes[i]!);
  }
  return flows;
}

/** Waits until each of several receiving cores has opened a port. */
export async function coresOpen(wing: Running, cores: number, port = "in"): Promise<void> {
  for (let core = 1; core <= cores; core++) await wing.says(new RegExp(`port ${port}: .* core ${core} of ${cores}`));
}

export function checkLedger(result: RunResult, what = ""): void {
  assert.ok(result.ledger.balanced, `${what}${JSON.stringify(result.ledger)}`);
  assert.is(result.ledger.in_flight, 0);
}

/**
 * A gateway between wires a and b, with traffic both ways at once: all of it leaves by the other side.
 * @param more keys of both ports
 * @param opened waits until the run's ports are open
 * @param args of the run
 */
export async function bothWays(
  space: Veth,
  queues: number,
  more: object,
  opened: (wing: Running) => Promise<void>,
  ...args: string[]
): Promise<void> {
  const port = (name: string) => ({ driver: "xdp", interface: name, dir: "both", ...more });
  const cwd = folder({
    "chain.json": { name: "gateway", ports: { lan: port("a"), wan: port("b") }, policy: "policy.csv" },
    "policy.csv": "*,ingress:lan,egress:wan\n*,ingress:wan,egress:lan\n",
  });
  space.wire("a", queues);
  space.wire("b", queues);
  const input = traffic(cwd);
  const dumps = [
    await capture(space, cwd, "ap", 2 * COUNT, "a.pcap"),
    await capture(space, cwd, "bp", 2 * COUNT, "b.pcap"),
  ];
  const wing = await space.wingbeat(cwd, "chain.json", ...args);
  await opened(wing);
  space.run("tcpreplay", "-q", "-i", "ap", "--topspeed", input);
  space.run("tcpreplay", "-q", "-i", "bp", "--topspeed", input);
  await space.until("a", COUNT);
  await space.until("b", COUNT);
  const result = await wing.finish();
  checkLedger(result);
  assert.equal(
    result.ports.map((p) => [p.name, p.ipackets, p.opackets]),
    [
      ["lan", COUNT, COUNT],
      ["wan", COUNT, COUNT],
    ],
  );
  for (const dump of dumps) await dump.end();
  // What tcpreplay sends on a wire's end is captured there, too.
  for (const name of ["a", "b"]) assert.is(frames(join(cwd, `${name}.pcap`)).length, 2 * COUNT);
}

export function wiresTest(name: string, body: (space: Veth, cwd: string) => Promise<void>): void {
  test(name, async () => {
    if (skipUnless(lack === undefined, lack ?? "")) return;
    const space = new Veth();
    try {
      await body(space, folder(FORWARD));
    } finally {
      space.remove();
    }
  });
}
