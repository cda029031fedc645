/**
 * How many of the io cores receive, and whether each of them runs packets to completion or hands them on to the next core:
 *
 *   complete   every core receives, runs all NFs and sends. Needs NFs that may run on several cores at once, outputs that take several
 *              writers, and order that nobody has to restore.
 *   hand-on    every receiver puts packets, admitted, into a ring to the cores of the NFs, or to the one that has them all; the last sends.
 *   one        a single core receives.
 */
import { ConfigError } from "../errors.js";
import type { RxPattern } from "../nic/port.js";
import { canShare } from "../nic/shared-queue/queue.js";
import type { OrderMode } from "./plan.js";

/** What a port of the chain is to several threads. */
export interface PortUse {
  readonly name: string;
  readonly rx: boolean;
  readonly tx: boolean;
  /** Of a network interface by AF_XDP for certain: threads can share a queue of it. */
  readonly xdp: boolean;
  /** Threads that can receive from it when each has queues of its own. */
  readonly receivers: number;
  /** Threads that can send by it. */
  readonly senders: number;
}

/** What decides about receivers beside the chain's NFs. */
export interface Receiving {
  readonly ports: readonly PortUse[];
  readonly pattern: RxPattern;
  readonly digest: boolean;
  /** Of the arena, which receivers share out. */
  readonly slots: number;
}

export interface Receivers {
  readonly form: "one" | "complete" | "hand-on";
  readonly count: number;
}

/** NFs as far as they have a say. */
type NfUse = { readonly place?: "cpu" | "gpu"; readonly name?: string; readonly replicable?: boolean };

/** Slots a receiver needs: its receive rings, and bursts under way. */
const LEAST_SLOTS = 1024;
const ONE: Receivers = { form: "one", count: 1 };

/**
 * @param io io cores asked for
 * @param nf cores of NFs there will be
 * @param warn told why cores do something else than could be expected
 * @throws ConfigError where the arena is too small for so many receivers
 */
export function decideReceivers(
  nfs: readonly NfUse[],
  order: OrderMode,
  io: number,
  nf: number,
  receiving: Receiving | undefined,
  warn: (line: string) => void,
): Receivers {
  if (receiving === undefined) return ONE;
  const { pattern, slots } = receiving;
  if (io === 1) return ONE;
  const only = onlyOne(receiving, order);
  if (only !== undefined) {
    if (inputs(receiving).some((p) => p.receivers > 0)) warn(`--cores d${io}: one core receives: ${only}`);
    return ONE;
  }
  const queues = pattern === "default" ? mostReceivers(receiving) : Number.POSITIVE_INFINITY;
  const all = Math.min(io, queues);
  const split = nf > 0 ? "" : splits(nfs, order, all, receiving);
  // The last core is needed for the NFs and for sending, where no core has them by itself.
  const count = split === "" ? all : Math.min(io - 1, queues);
  if (split !== "") warn(`--cores d${io}: one core less receives, and the last one sends, since ${split}`);
  if (count < (split === "" ? io : io - 1)) {
    warn(
      `--cores d${io}: of the io cores ${count} receive, since no port has more queues (more of them: ethtool -L INTERFACE combined N)`,
    );
  }
  const most = Math.floor(slots / LEAST_SLOTS);
  if (count > most) {
    const problem = `each receiving core needs ${LEAST_SLOTS} slots, and the arena has ${slots}`;
    throw new ConfigError(`--cores d${io}`, problem, `use d${Math.max(1, most)}`);
  }
  if (count === 1) return ONE;
  return { form: split === "" && nf === 0 ? "complete" : "hand-on", count };
}

const inputs = ({ ports }: Receiving) => ports.filter((p) => p.rx);
const mostReceivers = (receiving: Receiving) => Math.max(1, ...inputs(receiving).map((p) => p.receivers));

/** Why only one core can receive; undefined where several can. */
function onlyOne(receiving: Receiving, order: OrderMode): string | undefined {
  const { pattern, digest } = receiving;
  const file = inputs(receiving).find((p) => p.receivers === 0);
  if (file !== undefined) return `port ${file.name} is no network interface`;
  if (digest) return "a digest is over the order in which packets arrived";
  if (order === "global") return "--order global is the order of one core";
  if (pattern === "default" && mostReceivers(receiving) === 1) {
    return "no port has more than one queue (more of them: ethtool -L INTERFACE combined N; or share it, --rx-pattern)";
  }
  return undefined;
}

/** Why cores that receive cannot do everything else as well; "" where they can. */
function splits(nfs: readonly NfUse[], order: OrderMode, cores: number, receiving: Receiving): string {
  const alone = nfs.find((nf) => nf.place === "gpu" || nf.replicable !== true);
  if (alone !== undefined) return `NF ${alone.name ?? ""} runs on one core`;
  const port = receiving.ports.find((p) => p.tx && p.senders < cores);
  if (port !== undefined)
    return `port ${port.name} takes ${port.senders === 1 ? "one writer" : `${port.senders} writers`}`;
  if (receiving.pattern !== "default" && order !== "none") return "order is restored behind cores that share a queue";
  return "";
}

/**
 * Whether a chain can be received from by a pattern in which cores share a queue.
 * @param serial one core keeps order, since the policy has a cycle
 * @throws ConfigError naming what is in the way
 */
export function checkPattern(receiving: Receiving, order: OrderMode, serial: boolean): void {
  const { pattern, digest } = receiving;
  if (pattern === "default") return;
  const option = `--rx-pattern ${pattern}`;
  for (const port of inputs(receiving)) {
    if (!port.xdp) {
      throw new ConfigError(option, `port ${port.name} has no AF_XDP ring to share`, "use xdp:INTERFACE");
    }
    if (port.receivers > 1) {
      const problem = `cores share one queue, and port ${port.name} has ${port.receivers}`;
      throw new ConfigError(option, problem, "name one: queue=N, which ports of the driver xdp have");
    }
  }
  if (digest) {
    const problem = "a digest is over the order in which packets arrived, and one core has to see it";
    throw new ConfigError(option, problem, "leave out --digest and --seed");
  }
  if (order === "global") throw new ConfigError(option, "--order global is the order of one core", "use --order flow");
  if (serial) {
    throw new ConfigError(option, "the policy has a cycle, where one core keeps order", "use --order none");
  }
}

/**
 * Whether a pattern can share out a queue among the cores that receive.
 * @param io io cores asked for
 * @param countOf how many receive of so many io cores; throws where there are not slots enough
 * @throws ConfigError with the next number of io cores of which as many receive as can share
 */
export function checkCount({ pattern }: Receiving, io: number, countOf: (io: number) => number): void {
  const fits = (cores: number) => cores > 1 && canShare(pattern, cores);
  const count = countOf(io);
  if (pattern === "default" || fits(count)) return;
  const rules = {
    arbitration: "two or more can share a queue",
    range: "2, 4, 8 and so on can share a queue",
    parent: "a parent and 1, 2, 4 and so on workers can share a queue",
  };
  const problem = `${count === 1 ? "one core receives" : `${count} cores receive`}, and ${rules[pattern]}`;
  // Among so many more there is a power of two, and one for those that only send.
  for (let next = io + 1; next <= 2 * io + 2; next++) {
    let receivers = 0;
    try {
      receivers = countOf(next);
    } catch {
      break;
    }
    if (!fits(receivers)) continue;
    const remedy = `use d${next}, of which ${receivers} receive${receivers < next ? " and one sends" : ""}`;
    throw new ConfigError(`--rx-pattern ${pattern}, --cores`, problem, remedy);
  }
  throw new ConfigError(`--rx-pattern ${pattern}, --cores`, problem, "use fewer io cores: there are no slots for more");
}
