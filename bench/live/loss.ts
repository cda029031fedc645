/** Whether wingbeat loses packets below its limit: so many were sent, so many came out, and its ledger has as many. */
import { setTimeout as delay } from "node:timers/promises";
import type { RunResult } from "../../runtime/engine/result.js";
import { type Cell, type CellOptions, type CellResult, type Experiment, Figures } from "../experiment.js";
import { came, forwardChain, NATIVE, startFlood, Wingbeat, window, wirePair } from "./forwarders.js";
import { gatewayChain } from "./gateway.js";
import { PROCESSORS, Wires } from "./wires.js";

const SHARE = 0.7;
const SECONDS = { full: 60, quick: 5 } as const;
const FLOWS = 1024;
const WIRE = "w";
/** Times a turn: of the search, a trial and what passes before the first one; traffic on which a run's code is compiled. */
const TRIAL = 5;
const WARM_UP = 10;
/** A trial below the rate of one that lost packets, of it. */
const STEP = 0.85;
const TRIALS = 12;
/** Of the limit, while code is compiled. */
const WARM_UP_SHARE = 0.2;
/** ms after the last packet in which what is under way comes out; looked at so often. */
const LINGER_MS = 500;
const LOOK_MS = 20;

interface Subject {
  readonly name: string;
  readonly bytes: number;
  /** Writes the chain. @returns its file */
  chain(options: CellOptions): Promise<string> | string;
}

/** What the sender of peers/live.c says at its end. */
interface Sent {
  readonly sent: number;
  /** Times that a full queue on the sender's side took nothing; those packets were sent again. */
  readonly refused: number;
  readonly seconds: number;
}

async function send(
  wires: Wires,
  bytes: number,
  mpps: number,
  seconds: number,
): Promise<Sent & { readonly cameOut: number }> {
  const before = came(await wires.look(), `${WIRE}2p`);
  const args = ["send", `${WIRE}1p`, bytes, FLOWS, Math.round(mpps * 1e6), 0, seconds];
  const sent = await (await wires.peer(PROCESSORS.sender, ...args)).itself<Sent>();
  let cameOut = 0;
  for (let ms = 0; ms < LINGER_MS && cameOut < sent.sent; ms += LOOK_MS) {
    await delay(LOOK_MS);
    cameOut = came(await wires.look(), `${WIRE}2p`) - before;
  }
  return { ...sent, cameOut };
}

/** The rate in Mpps at which nothing is lost for the time of a trial: from the saturated rate downwards. */
async function findLimit(wires: Wires, { bytes }: Subject, chain: string, options: CellOptions): Promise<number> {
  const { scratch, turnMs } = options;
  const run = await Wingbeat.start(wires, WIRE, NATIVE, chain, scratch);
  const flood = await startFlood(wires, WIRE, bytes);
  flood.resume();
  await delay(WARM_UP * turnMs);
  let { forwarded: mpps } = await window(wires, WIRE, run.program, TRIAL * turnMs);
  await flood.end();
  for (let trial = 0; trial < TRIALS; trial++) {
    const { sent, seconds, cameOut } = await send(wires, bytes, mpps, (TRIAL * turnMs) / 1000);
    // The sender may not get to what it is asked for.
    mpps = Math.min(mpps, sent / seconds / 1e6);
    if (sent > 0 && sent === cameOut) break;
    mpps *= STEP;
  }
  await run.finish();
  return mpps;
}

async function measure(subject: Subject, options: CellOptions): Promise<CellResult> {
  const { bytes } = subject;
  const { quick, scratch, turnMs, repeats } = options;
  const wires = Wires.make();
  try {
    const chain = await subject.chain(options);
    wirePair(wires, WIRE);
    const limit = await findLimit(wires, subject, chain, options);
    const run = await Wingbeat.start(wires, WIRE, NATIVE, chain, scratch);
    const first = await send(wires, bytes, limit * WARM_UP_SHARE, (WARM_UP * turnMs) / 1000);
    // Who asks for one repeat wants to see that it works.
    const seconds = repeats === 1 ? (TRIAL * turnMs) / 1000 : quick ? SECONDS.quick : SECONDS.full;
    const main = await send(wires, bytes, limit * SHARE, seconds);
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
    const note = `${SHARE * 100} % of the highest rate at which a trial of ${(TRIAL * turnMs) / 1000} s lost nothing, for ${seconds} s; ${FLOWS} flows; the ledger is of the whole run, warm-up included`;
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
  { name: "forwarding, 64 B", bytes: 64, chain: forwardChain },
  { name: "ipsec -> nids -> router, 512 B", bytes: 512, chain: gatewayChain },
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
