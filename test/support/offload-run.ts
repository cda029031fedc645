/**
 * Takes packets through an NF's offload as the engine does, and as unkindly as it may: several batches are prepared, then the kernel
 * serves rows of all kinds in any order, then packets are finished in other batches than they were prepared in.
 */
import * as assert from "uvu/assert";
import type { Offload } from "../../runtime/chain/nf.js";
import { PARAM_PLACE } from "../../runtime/device/queue.js";
import { PARAM_WORDS, SLOT_SIZE } from "../../runtime/packet/arena.js";
import { Batch, MAX_BATCH } from "../../runtime/packet/batch.js";
import type { Random } from "./random.js";
import type { Runner } from "./runners.js";

export interface OffloadRun {
  /** Outcome of each packet, in the order given. */
  readonly outcomes: Uint8Array;
  /** Packets the kernel served. */
  readonly served: number;
}

/**
 * @param slots packets in arrival order
 * @param table word at which the NF's tables begin
 * @param results words of the params the kernel writes: they hold garbage before it runs
 */
export async function runOffload(
  offload: Offload,
  runner: Runner,
  slots: Uint32Array,
  random: Random,
  table: number,
  results: readonly number[],
): Promise<OffloadRun> {
  const { params } = runner.arena;
  for (const slot of slots) for (let w = 0; w < PARAM_WORDS; w++) params[slot * PARAM_WORDS + w] = random.u32();
  const outcomes = new Uint8Array(slots.length);
  const wantedSlots: number[] = [];
  const wanted = new Uint8Array(MAX_BATCH);
  eachBatch(slots, random, (batch, first) => {
    wanted.fill(7);
    const count = offload.prepare(batch, wanted);
    let ones = 0;
    for (let i = 0; i < batch.count; i++) {
      assert.ok(wanted[i]! <= 1);
      if (wanted[i] === 1) {
        ones++;
        wantedSlots.push(batch.slots[i]!);
        const place = params[batch.slots[i]! * PARAM_WORDS + PARAM_PLACE]!;
        assert.ok((place & 0xffff) + (place >>> 16) <= SLOT_SIZE, "the place reaches beyond the slot");
      }
    }
    assert.is(count, ones, "prepare returns how many are wanted");
    outcomes.set(batch.outcomes.subarray(0, batch.count), first);
  });
  for (const slot of wantedSlots) for (const word of results) params[slot * PARAM_WORDS + word] = random.u32();

  // Rows: in any order, begun at any column, single packets among them, and one of dummies alone.
  const left = Uint32Array.from(shuffled(wantedSlots, random));
  await runner.run(left, 0, 1 + random.int(0, 62), table);
  for (let first = 0; first < left.length; ) {
    const count = Math.min(left.length - first, random.pick([1, random.int(1, 63), 64, 128, random.int(64, 1000)]));
    await runner.run(left.subarray(first, first + count), count, random.pick([0, random.int(0, 63)]), table);
    first += count;
  }

  eachBatch(slots, random, (batch, first) => {
    batch.outcomes.set(outcomes.subarray(first, first + batch.count));
    offload.finish(batch);
    outcomes.set(batch.outcomes.subarray(0, batch.count), first);
  });
  return { outcomes, served: wantedSlots.length };
}

/** All packets in batches of random sizes. */
function eachBatch(slots: Uint32Array, random: Random, run: (batch: Batch, first: number) => void): void {
  const batch = new Batch(MAX_BATCH);
  for (let first = 0; first < slots.length; first += batch.count) {
    batch.count = Math.min(slots.length - first, random.pick([1, 64, MAX_BATCH, random.int(1, MAX_BATCH)]));
    batch.slots.set(slots.subarray(first, first + batch.count));
    batch.outcomes.fill(0xee);
    run(batch, first);
  }
}

export function shuffled<T>(items: Iterable<T>, random: Random): T[] {
  const out = [...items];
  for (let i = out.length - 1; i > 0; i--) {
    const j = random.int(0, i);
    [out[i], out[j]] = [out[j]!, out[i]!];
  }
  return out;
}

/** Tables one behind the other, as a device holds those of several NFs, and where each begins. */
export function sideBySide(tables: readonly Uint32Array[]): { all: Uint32Array; at: number[] } {
  const at: number[] = [];
  let end = 0;
  for (const table of tables) {
    at.push(end);
    end += Math.ceil(table.length / 16) * 16;
  }
  const all = new Uint32Array(end);
  for (const [i, table] of tables.entries()) all.set(table, at[i]!);
  return { all, at };
}

/** First byte in which two memories differ, or -1. */
export function firstDifference(a: Uint8Array, b: Uint8Array): number {
  if (Buffer.compare(a, b) === 0) return -1;
  return a.findIndex((byte, i) => byte !== b[i]);
}
