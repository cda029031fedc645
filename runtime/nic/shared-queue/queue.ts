/** Makes a queue's shared words, and a thread's end of it by its pattern. */
import type { RxPattern } from "../port.js";
import type { RingMemory } from "../rings/ring-memory.js";
import { ArbitrationEnd } from "./arbitration.js";
import { nothingTaken } from "./area-end.js";
import { isPowerOfTwo } from "./areas.js";
import type { QueueEnd, QueueParts, QueueShare } from "./end.js";
import { ParentEnd, WorkerEnd } from "./parent.js";
import { RangeEnd } from "./range.js";
import { SoleEnd } from "./sole.js";
import { queueWords, WORD } from "./words.js";

/** Threads of so many that take packets. */
export const acquirersOf = (pattern: RxPattern, threads: number): number =>
  pattern === "parent" ? threads - 1 : threads;

/** Whether a pattern can have so many threads at one queue. */
export function canShare(pattern: RxPattern, threads: number): boolean {
  if (pattern === "default") return threads === 1;
  return pattern === "arbitration" || isPowerOfTwo(acquirersOf(pattern, threads));
}

/**
 * Made by the first thread, before any other comes and before the first packet.
 * @param slots of the arena
 */
export function shareQueue(
  pattern: RxPattern,
  threads: number,
  slots: number,
  rx: RingMemory,
  fill: RingMemory,
): QueueShare {
  if (!canShare(pattern, threads)) throw new RangeError(`${pattern} with ${threads} threads`);
  const share = { pattern, threads, words: queueWords(threads), filled: new SharedArrayBuffer(slots) };
  const words = new Int32Array(share.words);
  const start = Atomics.load(rx.words, rx.consumerAt);
  words[WORD.START] = start;
  words[WORD.CLAIMED] = start;
  words[WORD.RELEASED] = start;
  words[WORD.ARRIVED] = start;
  words[WORD.REPLACEMENT] = Atomics.load(fill.words, fill.producerAt) - start;
  nothingTaken(words, start, acquirersOf(pattern, threads));
  return share;
}

/** A thread's end of a queue, by {@link QueueParts.thread}. */
export function joinQueue(parts: QueueParts): QueueEnd {
  const { pattern, threads } = parts.share;
  const { thread } = parts;
  switch (pattern) {
    case "default":
      return new SoleEnd(parts);
    case "arbitration":
      return new ArbitrationEnd(parts);
    case "range":
      return new RangeEnd(parts, thread, threads);
    case "parent":
      return thread === 0 ? new ParentEnd(parts) : new WorkerEnd(parts, thread - 1, threads - 1);
  }
}
