/**
 * A thread that waits as a thread of a run does, for the experiment engine-waiting: items come by a doorbell from the thread that measures, or
 * by a descriptor that stands in for a socket (an eventfd, whose count is the number of packets that wait).
 */
import { parentPort, workerData } from "node:worker_threads";
import type { WaitPolicy } from "../../../runtime/engine/plan.js";
import { Waiter } from "../../../runtime/engine/wait.js";
import { takeSignals } from "../../../runtime/native/eventfd.js";
import { setTimerSlack } from "../../../runtime/native/sched.js";
import { Poller } from "../../../runtime/nic/net/poller.js";
import { monotonicNs, threadNs } from "../../device/cpu-time.js";
import { work } from "./work.js";

/** Words that both sides share. */
export const enum WORD {
  /** Items given, by doorbell. */
  GIVEN = 0,
  /** Items done. */
  DONE = 1,
  STOP = 2,
}

export interface WaitingSetup {
  readonly policy: WaitPolicy;
  readonly control: SharedArrayBuffer;
  readonly words: SharedArrayBuffer;
  /** One number: when the last item was given, ns. */
  readonly stamp: SharedArrayBuffer;
  /** The stand-in for a socket; undefined: items come by doorbell. */
  readonly descriptor: number | undefined;
}

/** What a turn asks for: whether items are work (work.ts), or only seen. */
export interface WaitingTurn {
  readonly working: boolean;
}

export interface WaitingReport {
  readonly items: number;
  /** CPU time of the thread, and time, ns. */
  readonly cpuNs: number;
  readonly wallNs: number;
  /** From when an item was given to when it was seen, ns. */
  readonly latencies: Float64Array;
}

/** As the threads of a run have it (thread-settings.ts). */
const SLACK_NS = 1000;
const MOST_LATENCIES = 100_000;

function serve({ policy, descriptor, ...setup }: WaitingSetup): void {
  const control = new Int32Array(setup.control);
  const words = new Int32Array(setup.words);
  const stamp = new Float64Array(setup.stamp);
  setTimerSlack(SLACK_NS);
  const poller = descriptor === undefined ? undefined : new Poller([descriptor]);
  const waiter = new Waiter(policy, control, 0, false, poller);
  const latencies = new Float64Array(MOST_LATENCIES);
  let seen = 0;

  const take = (): number => {
    if (descriptor !== undefined) return takeSignals(descriptor);
    const given = Atomics.load(words, WORD.GIVEN);
    const count = given - seen;
    seen = given;
    return count;
  };
  const hasWork = () => Atomics.load(words, WORD.STOP) === 1 || (poller === undefined && words[WORD.GIVEN] !== seen);

  parentPort!.on("message", ({ working }: WaitingTurn) => {
    seen = 0;
    let items = 0;
    let looks = 0;
    const cpuNs = threadNs();
    const start = monotonicNs();
    while (Atomics.load(words, WORD.STOP) === 0) {
      const count = take();
      if (count === 0) {
        waiter.idle(hasWork, false, true);
        continue;
      }
      if (working) for (let i = 0; i < count; i++) work();
      else if (looks < latencies.length) latencies[looks++] = monotonicNs() - stamp[0]!;
      items += count;
      Atomics.add(words, WORD.DONE, count);
      // A descriptor has given all it had, as an interface does that gives less than a burst.
      if (descriptor === undefined) waiter.busy();
      else waiter.drained(hasWork);
    }
    const report: WaitingReport = {
      ...{ items, cpuNs: threadNs() - cpuNs, wallNs: monotonicNs() - start },
      latencies: latencies.slice(0, looks),
    };
    parentPort!.postMessage(report);
  });
  parentPort!.postMessage("ready");
}

serve(workerData as WaitingSetup);
