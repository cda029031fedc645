/** What waiting costs: processor time and latency of wingbeat over virtual wires, by waiting policy and load. */
import { setTimeout as delay } from "node:timers/promises";
import { type Cell, type CellOptions, type CellResult, type Experiment, Figures, inTurns } from "../experiment.js";
import {
  forwardChain,
  LONG_RINGS,
  passed,
  startFlood,
  startPeer,
  Wingbeat,
  warmUpPackets,
  window,
  wirePair,
} from "./forwarders.js";
import { type Program, Wires } from "./wires.js";

const POLICIES = ["spin", "yield", "sleep", "adaptive"] as const;
/** It sleeps as wingbeat does with `adaptive`: what it takes is the machine's part. */
const PEER = "C peer, adaptive";
/** Percent of the limit; 0: no packets. */
const LOADS = [0, 10, 50, 90];
const QUICK_LOADS = [0, 50];
const BYTES = 64;
/** What was demanded, in percent: of a core while idle, and of spin's processor time per packet at half load. */
const IDLE_TARGET = 5;
const HALF = 50;
const HALF_TARGET = 60;
/** Least share of the packets sent that comes out, in percent: equal throughput. */
const THROUGH_TARGET = 99;
/** Times a turn. */
const WINDOW = 5;
const SETTLE = 1;
/** Of these, or as many as there are repeats, the best is the limit that loads are shares of. */
const LIMIT_TURNS = 3;
/** Mpps: more than anybody takes. */
const UNLIMITED = Number.POSITIVE_INFINITY;

/** What the counter of peers/live.c says at its end. */
interface Counted {
  readonly packets: number;
  readonly p50_us: number;
  readonly p99_us: number;
}

interface Side {
  readonly name: string;
  /** Its wires are WIRE1 and WIRE2. */
  readonly wire: string;
  readonly forwarder: Program;
}

type Key = "cpu" | "forwarded" | "through" | "perPacket" | "p50" | "p99";

/** @param mpps 0: no packets */
async function turn(
  wires: Wires,
  { wire, forwarder }: Side,
  mpps: number,
  turnMs: number,
): Promise<Record<Key, number>> {
  forwarder.resume();
  const idle = mpps === 0;
  const counter = idle ? undefined : await wires.peer(wires.processors.sender, "count", `${wire}2p`);
  const sender = idle ? undefined : await startFlood(wires, wire, BYTES, mpps === UNLIMITED ? 0 : mpps);
  await delay(SETTLE * turnMs);
  const { cpu, arrived, forwarded } = await window(wires, wire, forwarder, WINDOW * turnMs, !idle);
  await sender?.end();
  const counted = await counter?.result<Counted>();
  forwarder.pause();
  return {
    cpu: 100 * cpu,
    forwarded,
    through: (100 * forwarded) / arrived,
    perPacket: (1e3 * cpu) / forwarded,
    p50: counted?.p50_us ?? Number.NaN,
    p99: counted?.p99_us ?? Number.NaN,
  };
}

async function measure(options: CellOptions): Promise<CellResult> {
  const { quick, scratch, turnMs, repeats } = options;
  const wires = Wires.make();
  try {
    const chain = forwardChain(options);
    const sides: Side[] = [];
    for (const policy of POLICIES) {
      wirePair(wires, policy);
      const { program } = await Wingbeat.start(wires, policy, LONG_RINGS, chain, scratch, "--wait", policy);
      // Its code is compiled before anything counts.
      const flood = await startFlood(wires, policy, BYTES);
      await passed(wires, policy, warmUpPackets(options));
      await flood.end();
      program.pause();
      sides.push({ name: policy, wire: policy, forwarder: program });
    }
    wirePair(wires, "peer");
    const peer = await startPeer(wires, "peer", LONG_RINGS, "nap");
    peer.pause();
    sides.push({ name: PEER, wire: "peer", forwarder: peer });
    // In turns like the others: the counter at the far end is work for each packet, too, which the kernel does in the forwarder's time.
    let limit = 0;
    for (let i = Math.min(LIMIT_TURNS, repeats); i > 0; i--) {
      limit = Math.max(limit, (await turn(wires, sides[0]!, UNLIMITED, turnMs)).forwarded);
    }
    const figures = new Figures();
    figures.add("spin", "limit", "Mpps", [limit]);
    for (const load of quick ? QUICK_LOADS : LOADS) {
      const variants = sides.map((side) => ({
        name: side.name,
        turn: () => turn(wires, side, (limit * load) / 100, turnMs),
      }));
      report(figures, sides, load, await inTurns<Key>(variants, repeats));
    }
    return { figures: figures.list, device: null, notes: [NOTE] };
  } finally {
    wires.remove();
  }
}

function report(
  figures: Figures,
  sides: readonly Side[],
  load: number,
  samples: readonly Readonly<Record<Key, number[]>>[],
): void {
  const spin = samples[0]!;
  const at = load === 0 ? "idle" : `${load} %`;
  for (const [i, { name }] of sides.entries()) {
    const { cpu, through, perPacket, p50, p99 } = samples[i]!;
    const aimed = name === "adaptive";
    figures.add(name, `processor time, ${at}`, "% of a core", cpu, aimed && load === 0 ? { most: IDLE_TARGET } : {});
    if (load === 0) continue;
    const half = aimed && load === HALF;
    figures.add(name, `forwarded, ${at}`, "%", through, half ? { least: THROUGH_TARGET } : {});
    figures.add(name, `processor time per packet, ${at}`, "ns", perPacket);
    figures.add(name, `latency p50, ${at}`, "us", p50);
    figures.add(name, `latency p99, ${at}`, "us", p99);
    if (name === "spin") continue;
    const ratio = perPacket.map((ns, turn) => (100 * ns) / spin.perPacket[turn]!);
    figures.add(`${name} / spin`, `processor time per packet, ${at}`, "%", ratio, half ? { most: HALF_TARGET } : {});
  }
}

const NOTE =
  "64 B, xdp native; processor time of the whole process, kernel time included; latency from the sender's stamp to the kernel's at the far end of the second wire; loads are of spin's saturated rate in such turns; the longest rings of wingbeat, the C peer's are 2048; sender and counter share a processor where there are two";

const cell: Cell = { name: "forwarding", workgroups: 0, needs: "wires", run: measure };

const waiting: Experiment = {
  name: "live-waiting",
  about: "processor time and latency over virtual wires by waiting policy, idle and at 10, 50 and 90 % of the limit",
  cells: () => [cell],
};
export const experiments: readonly Experiment[] = [waiting];
