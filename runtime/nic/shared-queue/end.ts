/**
 * One thread's end of a receive queue that several threads share: what all patterns have in common. A pattern says who takes which
 * entries of the RX ring and who gives them back to the kernel (patterns of Asada et al., "Roadblocks of I/O Parallelization", IV-B).
 *
 * The fill ring goes with the RX ring: whoever takes entry i puts a slot into fill entry i + REPLACEMENT. So a claim of an RX entry is one of a
 * fill entry too, and one index, RELEASED, says where both rings stand: consumer index = RELEASED, fill producer index = RELEASED +
 * REPLACEMENT. There is always room: the fill ring holds as many entries as were supplied at first, less those the kernel has used.
 */
import { ownLoop } from "../../native/own-code.js";
import { type Arena, SLOT_SHIFT } from "../../packet/arena.js";
import type { RxPattern } from "../port.js";
import { type Exchange, makeExchange, SLOT } from "../rings/loops.js";
import type { RingMemory } from "../rings/ring-memory.js";
import { WallClock } from "../rings/wall-clock.js";
import type { StageTimes } from "./stages.js";
import { COARSE_UNIT, WORD } from "./words.js";

/** Constants of this module are part of the compiled code (see egress.ts). */
const SHIFT = SLOT_SHIFT;
const UNIT = COARSE_UNIT;
const NEED_WAKEUP = 1;

/** What threads share beside the rings; plain data. */
export interface QueueShare {
  readonly pattern: RxPattern;
  readonly threads: number;
  readonly words: SharedArrayBuffer;
  /** By slot: 1 where the fill ring or the kernel has it to receive into. */
  readonly filled: SharedArrayBuffer;
}

/** What one thread brings along. */
export interface QueueParts {
  readonly share: QueueShare;
  readonly rx: RingMemory;
  readonly fill: RingMemory;
  readonly arena: Arena;
  /** Of `share.threads`, from 0. */
  readonly thread: number;
  /** Makes the kernel look at the fill ring; called where the ring asks for it. */
  wake(): void;
}

export abstract class QueueEnd {
  /** Where its stages are to be timed. */
  stages: StageTimes | undefined;
  protected readonly words: Int32Array;
  protected readonly rx: RingMemory;
  protected readonly fill: RingMemory;
  protected readonly start: number;
  private readonly filled: Uint8Array;
  private readonly loop: Exchange;
  private readonly clock = new WallClock();
  private replacement = 0;
  private ready = false;
  private supplied = 0;
  private stopped = false;

  constructor(private readonly parts: QueueParts) {
    const { share, rx, fill, arena } = parts;
    this.words = new Int32Array(share.words);
    this.filled = new Uint8Array(share.filled);
    this.rx = rx;
    this.fill = fill;
    this.loop = ownLoop(makeExchange, rx, fill, this.filled, arena, SLOT);
    this.start = Atomics.load(this.words, WORD.START);
  }

  /**
   * Takes packets: slots[0, n) then hold them, in increasing order of their numbers, and what they held before is in the fill ring.
   * To be called also where nothing is expected: it is here that a thread publishes what it has done.
   * @returns n, at most `count`
   */
  abstract receive(slots: Uint32Array, count: number): number;

  /**
   * Puts this thread's slots into the fill ring; once, in every thread, before it receives. The kernel gets none before all threads have
   * supplied theirs, since from then on slots are exchanged, and the distance between the rings must not change.
   */
  supply(slots: Uint32Array, count: number): void {
    const { words, fill, filled } = this;
    const { threads } = this.parts.share;
    // Nothing has been released yet: REPLACEMENT is still the fill producer's index less the start.
    const first = Atomics.load(fill.words, fill.producerAt) + Atomics.add(words, WORD.SUPPLIED, count);
    for (let i = 0; i < count; i++) {
      fill.entries[((first + i) & fill.mask) << 1] = slots[i]! << SHIFT;
      filled[slots[i]!] = 1;
    }
    this.supplied = count;
    if (Atomics.add(words, WORD.SUPPLIERS, 1) < threads - 1) return;
    const replacement = Atomics.add(words, WORD.REPLACEMENT, Atomics.load(words, WORD.SUPPLIED));
    const total = Atomics.load(words, WORD.SUPPLIED);
    Atomics.store(fill.words, fill.producerAt, (this.start + replacement + total) | 0);
    Atomics.store(words, WORD.READY, 1);
  }

  /** False before all threads have supplied slots. */
  get open(): boolean {
    if (this.ready) return true;
    if (Atomics.load(this.words, WORD.READY) === 0) return false;
    this.replacement = Atomics.load(this.words, WORD.REPLACEMENT);
    this.ready = true;
    return true;
  }

  /** Hardware access: index of the first entry that the kernel has not produced, or that is not taken any more. */
  protected get produced(): number {
    if (this.stopped && Atomics.load(this.words, WORD.ENDED) === 1) return Atomics.load(this.words, WORD.END);
    return Atomics.load(this.rx.words, this.rx.producerAt);
  }

  /** Number of the packet in an entry that was released not long ago, or will be: from 1 on, beyond 2^32. */
  private numberOf(index: number): number {
    const about = (Atomics.load(this.words, WORD.COARSE) >>> 0) * UNIT;
    return about + ((index - this.start - (about | 0)) | 0) + 1;
  }

  /** Acquisition: entries [from, from + count), which are this thread's, for slots[at, at + count). */
  protected exchange(from: number, slots: Uint32Array, at: number, count: number): void {
    const { clock } = this;
    clock.read();
    const to = (from + this.replacement) | 0;
    this.loop(slots, at, count, from, to, clock.sec, clock.nsec, this.numberOf(from));
  }

  /**
   * Hardware access: the entries before `to` are the kernel's, and so are the slots in their place. Only by the one whose turn it is, and
   * only when all threads are done with these entries; RELEASED, written last, is what hands the turn on.
   */
  protected release(to: number): void {
    const { rx, fill, words } = this;
    Atomics.store(rx.words, rx.consumerAt, to);
    Atomics.store(fill.words, fill.producerAt, (to + this.replacement) | 0);
    const coarse = Math.floor((this.numberOf(to) - 1) / UNIT);
    if ((coarse | 0) !== words[WORD.COARSE]) Atomics.store(words, WORD.COARSE, coarse | 0);
    Atomics.store(words, WORD.RELEASED, to);
    this.wake();
  }

  /** Wakes the kernel where it asks for it. */
  protected wake(): void {
    const { words, flagsAt } = this.fill;
    if ((Atomics.load(words, flagsAt) & NEED_WAKEUP) !== 0) this.parts.wake();
  }

  /**
   * This thread knows that nothing new is to come; the others may not yet. The last one to know says where the queue ends: a frame that
   * another CPU was about to hand over may come even now, and has to come for all threads or for none, since some may have left. Idempotent.
   */
  stop(): void {
    if (this.stopped) return;
    const { words } = this;
    this.stopped = true;
    if (Atomics.add(words, WORD.STOPPED, 1) < this.parts.share.threads - 1) return;
    Atomics.store(words, WORD.END, this.produced);
    Atomics.store(words, WORD.ENDED, 1);
  }

  /** Every thread knows that nothing new comes, and nothing is left before the end: not of this thread, and not of another. */
  get settled(): boolean {
    const { words } = this;
    if (Atomics.load(words, WORD.ENDED) === 0) return false;
    return ((Atomics.load(words, WORD.RELEASED) - Atomics.load(words, WORD.END)) | 0) >= 0;
  }

  /** When {@link settled}: slots of the fill ring and the kernel, as many as this thread supplied; each slot goes to one thread. */
  withdraw(slots: Uint32Array): number {
    const { filled } = this;
    let count = 0;
    for (let slot = filled.indexOf(1); slot >= 0; slot = filled.indexOf(1, slot + 1)) {
      if (count === slots.length || this.supplied === 0) break;
      if (Atomics.compareExchange(filled, slot, 1, 0) !== 1) continue;
      this.supplied--;
      slots[count++] = slot;
    }
    return count;
  }
}
