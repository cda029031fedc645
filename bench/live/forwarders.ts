/** Forwarders from a wire to another: wingbeat, and the C peer that makes the same system calls. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { RunResult } from "../../runtime/engine/result.js";
import { RunError } from "../../runtime/errors.js";
import { threads } from "../engine/thread-time.js";
import type { CellOptions } from "../experiment.js";
import type { Look, Program, Wires } from "./wires.js";

const MAIN = fileURLToPath(new URL("../../runtime/cli/main.js", import.meta.url));
const BATCH = 64;
/** ms for the first packet to come through, on a machine that does a lot else. */
const PATIENCE_MS = 10_000;
const LOOK_MS = 20;

/** How frames get in and out. */
export interface Driver {
  readonly name: string;
  /** The C peer's word for it. */
  readonly peer: "xdp" | "xdp-skb" | "packet" | "mmsg";
  /** Ports of wingbeat, of interfaces IN and OUT. */
  readonly in: string;
  readonly out: string;
  /** Per system call. */
  readonly messages: number;
}

export const NATIVE: Driver = {
  name: "xdp native",
  peer: "xdp",
  in: "xdp:IN,mode=native",
  out: "xdp:OUT",
  messages: BATCH,
};
/** The longest rings there are, as an operator takes them whose machine pauses: on a virtual one the host does. */
export const LONG_RINGS: Driver = { ...NATIVE, in: `${NATIVE.in},ring=32768` };
export const SKB: Driver = {
  name: "xdp skb",
  peer: "xdp-skb",
  in: "xdp:IN,mode=skb",
  out: "xdp:OUT,mode=skb",
  messages: BATCH,
};
export const PACKET: Driver = { name: "packet", peer: "packet", in: "packet:IN", out: "packet:OUT", messages: BATCH };
export const mmsg = (messages: number): Driver => ({
  name: `mmsg, ${messages} messages`,
  peer: "mmsg",
  in: `mmsg:IN,messages=${messages}`,
  out: `mmsg:OUT,messages=${messages}`,
  messages,
});

/** What wingbeat says of a port once that sends, or takes packets. */
const OPEN = /port (?:in|out): .* by AF_/;

/** A chain without an NF. */
const FORWARD = {
  ports: { in: { driver: "null" }, out: { driver: "null" } },
  policy: "live-forward.csv",
};

/** Writes the chain that only forwards. @returns its file */
export function forwardChain({ scratch }: Pick<CellOptions, "scratch">): string {
  const file = join(scratch, "live-forward.json");
  writeFileSync(file, JSON.stringify({ name: "live-forward", ...FORWARD }));
  writeFileSync(join(scratch, FORWARD.policy), "*,ingress,egress\n");
  return file;
}

export class Wingbeat {
  private constructor(
    readonly program: Program,
    private readonly json: string,
  ) {}

  /** Starts `wingbeat run CHAIN` from wire `wire`1 to `wire`2. @param more options of run */
  static async start(
    wires: Wires,
    wire: string,
    driver: Driver,
    chain: string,
    scratch: string,
    ...more: string[]
  ): Promise<Wingbeat> {
    const json = join(scratch, `live-${wire}.json`);
    rmSync(json, { force: true });
    const ports = ["--in", driver.in.replace("IN", `${wire}1`), "--out", driver.out.replace("OUT", `${wire}2`)];
    const batch = String(Math.max(BATCH, driver.messages));
    const args = ["run", chain, "--quiet", "--json", json, ...ports, "--batch", batch, "--device", "none", ...more];
    const program = await wires.start(wires.processors.forwarder, OPEN, process.execPath, MAIN, ...args);
    // Both ports, in any order: what comes before the input says so is the host's.
    await program.says(OPEN);
    return new Wingbeat(program, json);
  }

  /** Drains and ends it. */
  async finish(): Promise<RunResult> {
    await this.program.end("SIGINT");
    return JSON.parse(readFileSync(this.json, "utf8")) as RunResult;
  }
}

/** Two wires NAME1 and NAME2: frames go in at NAME1p and come out at NAME2p. */
export function wirePair(wires: Wires, name: string): void {
  wires.wire(`${name}1`);
  wires.wire(`${name}2`);
}

export function startPeer(
  wires: Wires,
  wire: string,
  { peer, messages }: Driver,
  wait: "spin" | "poll",
): Promise<Program> {
  return wires.peer(wires.processors.forwarder, "forward", peer, `${wire}1`, `${wire}2`, wait, messages);
}

/** What passed between two looks. */
export interface Rates {
  /** Mpps that arrived at the forwarder's interface, taken or not. */
  readonly arrived: number;
  /** Mpps that came out. */
  readonly forwarded: number;
  /** Processor time of the forwarder, kernel time included: seconds per second. */
  readonly cpu: number;
}

/** ns that the threads of a program have had of processors. */
function cpuNs({ pid }: Program): number {
  let sum = 0;
  for (const ns of threads(pid).values()) sum += ns;
  return sum;
}

/**
 * Rates of a forwarder between wires `wire`1 and `wire`2.
 * @param ms at least; where there is `traffic`, until some of it has come through
 * @throws RunError where none does
 */
export async function window(
  wires: Wires,
  wire: string,
  forwarder: Program,
  ms: number,
  traffic = true,
): Promise<Rates> {
  const from = await wires.look();
  const before = cpuNs(forwarder);
  let to = from;
  const deadline = performance.now() + ms + PATIENCE_MS;
  do {
    if (performance.now() > deadline) throw new RunError("bench", `nothing comes through from ${wire}1 to ${wire}2`);
    await delay(ms);
    to = await wires.look();
  } while (traffic && came(to, `${wire}2p`) === came(from, `${wire}2p`));
  const ns = to.ns - from.ns;
  const cpu = (cpuNs(forwarder) - before) / ns;
  const mpps = (name: string) => ((came(to, name) - came(from, name)) * 1e3) / ns;
  return { arrived: mpps(`${wire}1`), forwarded: mpps(`${wire}2p`), cpu };
}

/** Packets that have come to an interface; with an XDP program those it could not hand over are among them. */
export const came = ({ interfaces }: Look, name: string) => interfaces[name]!.rx;

/** Packets on which a run's code is compiled before anything counts; who asks for one repeat wants to see that it works. */
export const warmUpPackets = ({ repeats }: Pick<CellOptions, "repeats">) => (repeats === 1 ? 1000 : 1_000_000);

/** Waits until so many packets more have come out, or for as long as {@link PATIENCE_MS}. */
export async function passed(wires: Wires, wire: string, packets: number): Promise<void> {
  const name = `${wire}2p`;
  const most = came(await wires.look(), name) + packets;
  const deadline = performance.now() + PATIENCE_MS;
  while (came(await wires.look(), name) < most && performance.now() < deadline) await delay(LOOK_MS);
}

/** Flows of a flood; a power of two. */
const FLOOD_FLOWS = 64;

/** UDP frames into a wire. @param mpps 0: more than anybody takes @param seconds 0: until it is ended */
export function startFlood(wires: Wires, wire: string, bytes: number, mpps = 0, seconds = 0): Promise<Program> {
  const args = [`${wire}1p`, `${wire}1`, bytes, FLOOD_FLOWS, Math.round(mpps * 1e6), seconds.toFixed(3)];
  return wires.peer(wires.processors.sender, "flood", ...args);
}
