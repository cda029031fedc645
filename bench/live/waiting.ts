/** What waiting costs: processor time and latency of wingbeat over virtual wires, by waiting policy and load. */
import { setTimeout as delay } from "node:timers/promises";
import { type Cell, type CellOptions, type CellResult, type Experiment, Figures, inTurns } from "../experiment.js";
import { forwardChain, NATIVE, passed, startFlood, Wingbeat, warmUpPackets, window, wirePair } from "./forwarders.js";
import { type Program, Wires } from "./wires.js";

const POLICIES = ["spin", "yield", "sleep", "adaptive"] as const;
type Policy = (typeof POLICIES)[number];
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

/** What the counter of peers/live.c says at its end. */
interface Counted {
  readonly packets: number;
  readonly p50_us: number;
  readonly p99_us: number;
}

interface Side {
  readonly policy: Policy;
  readonly forwarder: Program;
}

type Key = "cpu" | "through" | "perPacket" | "p50" | "p99";

async function turn(
  wires: Wires,
  { policy, forwarder }: Side,
  mpps: number,
  turnMs: number,
): Promise<Record<Key, number>> {
  forwarder.resume();
  const idle = mpps === 0;
  const counter = idle ? undefined : await wires.peer(wires.processors.sender, "count", `${policy}2p`);
  const sender = idle ? undefined : await startFlood(wires, policy, BYTES, mpps);
  await delay(SETTLE * turnMs);
  const { cpu, arrived, forwarded } = await window(wires, policy, forwarder, WINDOW * turnMs, !idle);
  await sender?.end();
  const counted = await counter?.result<Counted>();
  forwarder.pause();
  return {
    cpu: 100 * cpu,
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
    let limit = 0;
    for (const policy of POLICIES) {
      wirePair(wires, policy);
      const { program } = await Wingbeat.start(wires, policy, NATIVE, chain, scratch, "--wait", policy);
      // Its code is compiled before anything counts; spin's limit is that of all.
      const flood = await startFlood(wires, policy, BYTES);
      await passed(wires, policy, warmUpPackets(options));
      if (policy === "spin") limit = (await window(wires, policy, program, WINDOW * turnMs)).forwarded;
      await flood.end();
      program.pause();
      sides.push({ policy, forwarder: program });
    }
    const figures = new Figures();
    figures.add("spin", "limit", "Mpps", [limit]);
    for (const load of quick ? QUICK_LOADS : LOADS) {
      const variants = sides.map((side) => ({
        name: side.policy,
        turn: () => turn(wires, side, (limit * load) / 100, turnMs),
      }));
      report(figures, load, await inTurns<Key>(variants, repeats));
    }
    return { figures: figures.list, device: null, notes: [NOTE] };
  } finally {
    wires.remove();
  }
}

function report(figures: Figures, load: number, samples: readonly Readonly<Record<Key, number[]>>[]): void {
  const spin = samples[0]!;
  const at = load === 0 ? "idle" : `${load} %`;
  for (const [i, policy] of POLICIES.entries()) {
    const { cpu, through, perPacket, p50, p99 } = samples[i]!;
    const aimed = policy === "adaptive";
    figures.add(policy, `processor time, ${at}`, "% of a core", cpu, aimed && load === 0 ? { most: IDLE_TARGET } : {});
    if (load === 0) continue;
    const half = aimed && load === HALF;
    figures.add(policy, `forwarded, ${at}`, "%", through, half ? { least: THROUGH_TARGET } : {});
    figures.add(policy, `processor time per packet, ${at}`, "ns", perPacket);
    figures.add(policy, `latency p50, ${at}`, "us", p50);
    figures.add(policy, `latency p99, ${at}`, "us", p99);
    if (policy === "spin") continue;
    const ratio = perPacket.map((ns, turn) => (100 * ns) / spin.perPacket[turn]!);
    figures.add(`${policy} / spin`, `processor time per packet, ${at}`, "%", ratio, half ? { most: HALF_TARGET } : {});
  }
}

const NOTE =
  "64 B, xdp native; processor time of the whole process, kernel time included; latency from the sender's stamp to the kernel's at the far end of the second wire; loads are of spin's saturated rate; sender and counter share a processor where there are two";

const cell: Cell = { name: "forwarding", workgroups: 0, needs: "wires", run: measure };

const waiting: Experiment = {
  name: "live-waiting",
  about: "processor time and latency over virtual wires by waiting policy, idle and at 10, 50 and 90 % of the limit",
  cells: () => [cell],
};
export const experiments: readonly Experiment[] = [waiting];
