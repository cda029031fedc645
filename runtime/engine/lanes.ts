import type { Arena } from "../packet/arena.js";
import { MAX_BATCH } from "../packet/batch.js";
import { flowHashes } from "../packet/flow-hash.js";

/** Deals packets to lanes by flow, so that packets of one flow stay in order while flows do not wait for each other. */
export class Lanes {
  /** The lane of each packet of the last burst. */
  readonly of = new Uint8Array(MAX_BATCH);
  private readonly hashes = new Uint32Array(MAX_BATCH);

  constructor(
    private readonly arena: Arena,
    private readonly lanes: number,
  ) {}

  /** @param count at most MAX_BATCH */
  assign(slots: Uint32Array, count: number): void {
    const { of, hashes, lanes } = this;
    flowHashes(this.arena, slots, count, hashes);
    for (let i = 0; i < count; i++) of[i] = hashes[i]! % lanes;
  }
}
