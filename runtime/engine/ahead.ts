/**
 * What a device has done ahead of time (device/forward.ts), as the thread that owns an NF comes to it: where the NF's kernel has seen a packet
 * already, and was asked what prepare asks now, its answer is taken and the packet needs no row.
 *
 * A path is made use of from front to back. What makes it worth nothing ends it: an NF other than the next one on it, a question other than
 * the one the device has answered. So an answer is never taken for a packet that anything else has had in between.
 */
import type { DeviceHandle } from "../device/device.js";
import { PATH as PATHS } from "../device/forward.js";
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
  private readonly answers: Uint32Array;
  /** Words of `answers` for a slot. */
  private readonly stride: number;
  /** This NF, as paths name it. */
  private readonly me: number;
  private readonly asks: Uint8Array;
  private readonly answered: Uint8Array;
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
    const { region, slots, hops: most } = handle.ahead!;
    const { buffer } = attachRegion(region);
    this.hops = most;
    this.stride = most * WORDS;
    this.paths = new Uint32Array(buffer, 0, slots);
    this.answers = new Uint32Array(buffer, 4 * slots, slots * this.stride);
    this.me = numberOf[nf]! + 1;
    this.asks = Uint8Array.from(hops.words[nf]?.asks ?? []);
    this.answered = Uint8Array.from(hops.words[nf]?.answers ?? []);
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
    const { answers, stride, asks, answered } = this;
    const { params } = this.parts;
    const from = slot * stride + hop * WORDS;
    const to = slot * WORDS;
    for (let i = 0; i < asks.length; i++) if (answers[from + asks[i]!] !== params[to + asks[i]!]) return false;
    for (let i = 0; i < answered.length; i++) params[to + answered[i]!] = answers[from + answered[i]!]!;
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
