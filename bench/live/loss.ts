/** Whether wingbeat loses packets below its limit: so many were sent, so many came out, and its ledger has as many. */
import { setTimeout as delay } from "node:timers/promises";
import type { RunResult } from "../../runtime/engine/result.js";
import { RunError } from "../../runtime/errors.js";
import { type Cell, type CellOptions, type CellResult, type Experiment, Figures } from "../experiment.js";
import {
  came,
  forwardChain,
  LONG_RINGS,
  passed,
  startFlood,
  Wingbeat,
  warmUpPackets,
  window,
  wirePair,
} from "./forwarders.js";
import { gatewayChain } from "./gateway.js";
import { Wires } from "./wires.js";

const SHARE = 0.7;
const SECONDS = { full: 60, quick: 5 } as const;
const FLOWS = 1024;
const WIRE = "w";
/** Ends of the wires where frames go in and come out. */
const IN = `${WIRE}1p`;
const OUT = `${WIRE}2p`;
/** Times a turn. */
const TRIAL = 5;
/** A trial below the rate of one that lost packets, of it. */
const STEP = 0.85;
const TRIALS = 8;
/** Of the limit, while code is compiled, and s of it at most. */
const WARM_UP_SHARE = 0.2;
const WARM_UP_S = 5;
/** ms after the last packet in which what is under way comes out; looked at so often. */
const LINGER_MS = 500;
const LOOK_MS = 20;

interface Subject {
  readonly name: string;
  readonly bytes: number;
  /** Mode of peers/live.c: `flood` is fast, `send` has a destination for each flow. */
  readonly sender: "flood" | "send";
  /** Writes the chain. @returns its file */
  chain(options: CellOptions): Promise<string> | string;
}

/** What came of sending at a rate. */
interface Sent {
  /** Packets that the wire has taken. */
  readonly sent: number;
  readonly cameOut: number;
  readonly seconds: number;
}

async function send(wires: Wires, { sender, bytes }: Subject, mpps: number, seconds: number): Promise<Sent> {
  const before = await wires.look();
  const program = await (sender === "flood"
    ? startFlood(wires, WIRE, bytes, mpps, seconds)
    : wires.peer(
        wires.processors.sender,
        "send",
        `${WIRE}1p`,
        bytes,
        FLOWS,
        Math.round(mpps * 1e6),
        0,
        seconds.toFixed(3),
      ));
  const own = await program.itself<{ readonly sent: number; readonly seconds: number }>();
  let after = await wires.look();
  const cameOut = () => came(after, OUT) - came(before, OUT);
  const sent = after.interfaces[IN]!.tx - before.interfaces[IN]!.tx;
  // A flood's frames may find the wire full, which nobody makes up for; of those of the other sender it knows.
  if (sent > own.sent || (sender === "send" && sent !== own.sent)) {
    throw new RunError("bench", `the sender counts ${own.sent} packets, its interface ${sent}`);
  }
  for (let ms = 0; ms < LINGER_MS && cameOut() < sent; ms += LOOK_MS) {
    await delay(LOOK_MS);
    after = await wires.look();
  }
  return { sent, cameOut: cameOut(), seconds: own.seconds };
}

/** The rate in Mpps at which nothing is lost for the time of a trial: from the saturated rate downwards. */
async function findLimit(wires: Wires, subject: Subject, chain: string, options: CellOptions): Promise<number> {
  const { scratch, turnMs } = options;
  const run = await Wingbeat.start(wires, WIRE, LONG_RINGS, chain, scratch);
  const flood = await startFlood(wires, WIRE, subject.bytes);
  await passed(wires, WIRE, warmUpPackets(options));
  let { forwarded: mpps } = await window(wires, WIRE, run.program, TRIAL * turnMs);
  await flood.end();
  await delay(LINGER_MS);
  for (let trial = 0; trial < TRIALS; trial++) {
    const { sent, seconds, cameOut } = await send(wires, subject, mpps, (TRIAL * turnMs) / 1000);
    // The sender may not get to what it is asked for.
    mpps = Math.min(mpps, sent / seconds / 1e6);
    if (sent > 0 && sent === cameOut) break;
    mpps *= STEP;
  }
  await run.finish();
  return mpps;
}

async function measure(subject: Subject, options: CellOptions): Promise<CellResult> {
  const { quick, scratch, turnMs, repeats } = options;
  const wires = Wires.make();
  try {
    const chain = await subject.chain(options);
    wirePair(wires, WIRE);
    const limit = await findLimit(wires, subject, chain, options);
    const run = await Wingbeat.start(wires, WIRE, LONG_RINGS, chain, scratch);
    const warmUpSeconds = Math.min(WARM_UP_S, warmUpPackets(options) / (limit * WARM_UP_SHARE * 1e6));
    const first = await send(wires, subject, limit * WARM_UP_SHARE, warmUpSeconds);
    // Who asks for one repeat wants to see that it works.
    const seconds = repeats === 1 ? (TRIAL * turnMs) / 1000 : quick ? SECONDS.quick : SECONDS.full;
    const main = await send(wires, subject, limit * SHARE, seconds);
    const result = await run.finish();
    const figures = new Figures();
    const add = (figure: string, unit: string, value: number, target = {}) =>
      figures.add(subject.name, figure, unit, [value], target);
    add("no loss in a short trial at", "Mpps", limit);
    add("sent", "Mpps", main.sent / main.seconds / 1e6);
    add("sent", "packets", main.sent);
    add("sent and not come out", "packets", main.sent - main.cameOut, { most: 0 });
    add("sent and not in the ledger", "packets", Math.abs(first.sent + main.sent - receivedOf(result)), { most: 0 });
    add("ledger does not balance by", "packets", imbalanceOf(result), { most: 0 });
    add("missed by the port, warm-up included", "packets", missedOf(result));
    const note = `${SHARE * 100} % of the highest rate at which a trial of ${(TRIAL * turnMs) / 1000} s lost nothing, for ${seconds} s; the ledger is of the whole run, warm-up included`;
    return { figures: figures.list, device: null, notes: [note] };
  } finally {
    wires.remove();
  }
}

const inPort = ({ ports }: RunResult) => ports.find(({ name }) => name === "in")!;
const missedOf = (result: RunResult) => inPort(result).imissed + inPort(result).ierrors;
const receivedOf = (result: RunResult) => inPort(result).ipackets + missedOf(result);

function imbalanceOf({ ledger }: RunResult): number {
  return Math.abs(ledger.rx + ledger.originated - ledger.tx - ledger.to_kernel - ledger.dropped);
}

const SUBJECTS: readonly Subject[] = [
  { name: "forwarding, 64 B", bytes: 64, sender: "flood", chain: forwardChain },
  { name: "ipsec -> nids -> router, 512 B", bytes: 512, sender: "send", chain: gatewayChain },
];

const loss: Experiment = {
  name: "live-loss",
  about: "packets lost at 70 % of the limit over virtual wires, by the sender's count and by the ledger",
  cells: () =>
    SUBJECTS.map(
      (subject): Cell => ({
        name: subject.name,
        workgroups: 0,
        needs: "wires",
        run: (options) => measure(subject, options),
      }),
    ),
};
export const experiments: readonly Experiment[] = [loss];
