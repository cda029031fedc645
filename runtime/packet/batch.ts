/** What an NF gets: slot numbers in arrival order, and an outcome to write for each. Allocated once, used for ever. */
export class Batch {
  /** Slots, [0, count). The NF owns them until it returns. Another array from call to call where a whole burst goes to one NF. */
  slots: Uint32Array;
  /** Outcome codes, [0, count): indices into the NF's outcomes. */
  readonly outcomes: Uint8Array;
  count = 0;

  constructor(readonly capacity: number) {
    this.slots = new Uint32Array(capacity);
    this.outcomes = new Uint8Array(capacity);
  }
}

/** The largest batch any part of the runtime hands to an NF: NFs size their scratch arrays by it. */
export const MAX_BATCH = 256;
