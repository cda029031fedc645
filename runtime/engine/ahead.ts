/**
 * What a device has done ahead of time (device/forward.ts), as the thread that owns an NF comes to it: where the NF's kernel has seen a packet
 * already, and was asked what prepare asks now, its answer is taken and the packet needs no row.
 *
 * A path is made use of from front to back. What makes it worth nothing ends it: an NF other than the next one on it, a question other than
 * the one the device has answered. So an answer is never taken for a packet that anything else has had in between.
 */
import type { DeviceHandle } from "../device/device.js";
import { PATH as PATHS, rank } from "../device/forward.js";
import { PARAM_WORDS } from "../packet/arena.js";
import type { Batch } from "../packet/batch.js";
import { attachRegion } from "../packet/memory.js";
import type { PlanHops } from "./hops.js";

// Copies: V8 folds a module's own constants into the code, imported bindings it loads anew.
const WORDS = PARAM_WORDS;
const BITS = PATHS.BITS;
const MASK = PATHS.MASK;
const USED = PATHS.USED;
const USED_MASK = PATHS.USED_MASK;
const ONE_USED = PATHS.ONE_USED;
const SKIPS = PATHS.SKIPS;

export interface AheadParts {
  readonly handle: DeviceHandle;
  readonly hops: PlanHops;
  /** By number of the NF in the chain, its number on the device; -1 where it is not there. */
  readonly numberOf: readonly number[];
  readonly next: Uint16Array;
  readonly params: Uint32Array;
  /** From `at` on one for each pair, then one for answers nobody asked for. */
  readonly counters: Float64Array;
  readonly at: number;
}

export class Ahead {
  private readonly paths: Uint32Array;
  /** What is kept of params, by slot and hop. */
  private readonly kept: Uint32Array;
  /** Words of `kept` for a slot, and for a hop. */
  private readonly stride: number;
  private readonly words: number;
  /** This NF, as paths name it. */
  private readonly me: number;
  /** Words of the params, and which of the words kept each is. */
  private readonly asks: Uint8Array;
  private readonly asksAt: Uint8Array;
  private readonly answers: Uint8Array;
  private readonly answersAt: Uint8Array;
  /** By NF as paths name it: its number in the chain; the counter of a hop from there to here. */
  private readonly chainOf = new Uint16Array(MASK + 1).fill(0xffff);
  private readonly counterOf = new Int32Array(MASK + 1);
  private readonly unused: number;
  private readonly hops: number;

  /** @param nf number in the chain of the NF this is for */
  constructor(
    private readonly parts: AheadParts,
    nf: number,
  ) {
    const { handle, hops, numberOf, at } = parts;
    const { region, slots, hops: most, kept } = handle.ahead!;
    const { buffer } = attachRegion(region);
    this.hops = most;
    this.stride = most * kept;
    this.words = kept;
    this.paths = new Uint32Array(buffer, 0, slots);
    this.kept = new Uint32Array(buffer, 4 * slots, slots * this.stride);
    this.me = numberOf[nf]! + 1;
    const { asks = [], answers = [] } = hops.words[nf] ?? {};
    const mask = [...asks, ...answers].reduce((bits, word) => bits | (1 << word), 0);
    const places = (words: readonly number[]) => Uint8Array.from(words, (word) => rank(mask, word));
    this.asks = Uint8Array.from(asks);
    this.asksAt = places(asks);
    this.answers = Uint8Array.from(answers);
    this.answersAt = places(answers);
    this.unused = at + hops.pairs.length;
    this.counterOf.fill(this.unused);
    numberOf.forEach((number, i) => {
      if (number >= 0) this.chainOf[number + 1] = i;
      const pair = hops.pairs.findIndex(({ from, to }) => from === i && to === nf);
      if (pair >= 0) this.counterOf[number + 1] = at + pair;
    });
  }

  /** After prepare: packets of the batch that have their answer already want nothing any more. */
  use(batch: Batch, wanted: Uint8Array): void {
    const { paths, me, hops } = this;
    const { slots, count } = batch;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const path = paths[slot]!;
      if (path === 0) continue;
      const used = (path >>> USED) & USED_MASK;
      const skips = (path >>> (SKIPS + used)) & 1;
      const fits = ((path >>> (BITS * (used + 1))) & MASK) === me && wanted[i] !== skips;
      if (!fits || (skips === 0 && !this.take(slot, used))) {
        this.end(slot);
        continue;
      }
      wanted[i] = 0;
      this.count(this.counterOf[(path >>> (BITS * used)) & MASK]!);
      const over = used + 1 === hops || ((path >>> (BITS * (used + 2))) & MASK) === 0;
      paths[slot] = over ? 0 : path + ONE_USED;
    }
  }

  /** After finish: packets that go elsewhere than the device has gone with them. */
  settle(slots: Uint32Array, count: number): void {
    const { paths, chainOf } = this;
    const { next } = this.parts;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const path = paths[slot]!;
      if (path === 0) continue;
      const used = (path >>> USED) & USED_MASK;
      if (chainOf[(path >>> (BITS * (used + 1))) & MASK] !== next[slot]) this.end(slot);
    }
  }

  /** Copies the answer, where the question was that of the params. */
  private take(slot: number, hop: number): boolean {
    const { kept, stride, words, asks, asksAt, answers, answersAt } = this;
    const { params } = this.parts;
    const from = slot * stride + hop * words;
    const to = slot * WORDS;
    for (let i = 0; i < asks.length; i++) if (kept[from + asksAt[i]!] !== params[to + asks[i]!]) return false;
    for (let i = 0; i < answers.length; i++) params[to + answers[i]!] = kept[from + answersAt[i]!]!;
    return true;
  }

  private end(slot: number): void {
    this.paths[slot] = 0;
    this.count(this.unused);
  }

  private count(counter: number): void {
    const { counters } = this.parts;
    counters[counter] = counters[counter]! + 1;
  }
}
