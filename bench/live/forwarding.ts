/** How fast wingbeat forwards over virtual wires, against a C program that makes the same system calls, each at its limit. */
import { setTimeout as delay } from "node:timers/promises";
import { type Cell, type CellOptions, type CellResult, type Experiment, Figures, inTurns } from "../experiment.js";
import {
  type Driver,
  forwardChain,
  mmsg,
  NATIVE,
  PACKET,
  passed,
  type Rates,
  SKB,
  startFlood,
  startPeer,
  Wingbeat,
  warmUpPackets,
  window,
  wirePair,
} from "./forwarders.js";
import { type Program, Wires } from "./wires.js";

const TARGET = 0.9;
/** Times a turn: a window, and what passes before it. */
const WINDOW = 5;
const SETTLE = 1;

/** A forwarder that stands still outside its turns, with a flood of its own. */
interface Side {
  readonly wire: string;
  readonly forwarder: Program;
  readonly flood: Program;
}

async function turn(wires: Wires, { wire, forwarder, flood }: Side, settleMs: number, ms: number): Promise<Rates> {
  forwarder.resume();
  flood.resume();
  await delay(settleMs);
  const rates = await window(wires, wire, forwarder, ms);
  flood.pause();
  forwarder.pause();
  return rates;
}

async function measure(driver: Driver, bytes: number, options: CellOptions): Promise<CellResult> {
  const { scratch, turnMs } = options;
  const wires = Wires.make();
  try {
    const side = async (wire: string, start: () => Promise<Program>): Promise<Side> => {
      wirePair(wires, wire);
      const forwarder = await start();
      forwarder.pause();
      const flood = await startFlood(wires, wire, bytes);
      flood.pause();
      return { wire, forwarder, flood };
    };
    const ours = await side("w", async () => {
      return (await Wingbeat.start(wires, "w", driver, forwardChain(options), scratch)).program;
    });
    const theirs = await side("c", () => startPeer(wires, "c", driver, "poll"));
    ours.forwarder.resume();
    ours.flood.resume();
    await passed(wires, ours.wire, warmUpPackets(options));
    ours.flood.pause();
    ours.forwarder.pause();
    const [wingbeat, peer] = await inTurns<keyof Rates>(
      [ours, theirs].map((one) => ({
        name: one.wire,
        turn: async () => ({ ...(await turn(wires, one, SETTLE * turnMs, WINDOW * turnMs)) }),
      })),
      options.repeats,
    );
    const figures = new Figures();
    figures.add("wingbeat", "forwarded", "Mpps", wingbeat!.forwarded);
    figures.add("C peer", "forwarded", "Mpps", peer!.forwarded);
    figures.add("C peer", "arrived", "Mpps", peer!.arrived);
    figures.add("C peer", "processor time", "% of a core", percent(peer!.cpu));
    figures.add("wingbeat", "processor time", "% of a core", percent(wingbeat!.cpu));
    figures.ratio("wingbeat / C peer", "forwarded", wingbeat!.forwarded, peer!.forwarded, { least: TARGET });
    // What else the machine does takes processor time from one or the other.
    figures.ratio("wingbeat / C peer", "forwarded per processor time", perTime(wingbeat!), perTime(peer!));
    return { figures: figures.list, device: null, notes: [NOTE] };
  } finally {
    wires.remove();
  }
}

const percent = (shares: readonly number[]) => shares.map((share) => 100 * share);
const perTime = ({ forwarded, cpu }: Readonly<Record<keyof Rates, number[]>>) =>
  forwarded.map((mpps, i) => mpps / cpu[i]!);

const NOTE =
  "packets that came out per second, while more arrived than was taken; sender on one processor, forwarder on another, which also does the kernel's work for what it sends";

const forwarding: Experiment = {
  name: "live-forwarding",
  about: "packets forwarded per second over virtual wires, against C with the same system calls",
  cells: (quick) =>
    (quick ? [64] : [64, 1472]).flatMap((bytes) =>
      [NATIVE, SKB, PACKET, ...(quick ? [64] : [1, 8, 64, 256]).map(mmsg)].map(
        (driver): Cell => ({
          name: `${driver.name}, ${bytes} B`,
          workgroups: 0,
          needs: "wires",
          run: (options) => measure(driver, bytes, options),
        }),
      ),
    ),
};
export const experiments: readonly Experiment[] = [forwarding];
