/** The tables' memory: which words of it hold a table, so that a new one can be put in beside the old one while rows name both. */
import { RunError } from "../errors.js";

/** Tables begin at a multiple of this: a line of 128 bytes. */
const ALIGN = 32;

function rounded(words: number): number {
  return Math.max(ALIGN, Math.ceil(words / ALIGN) * ALIGN);
}

export class TableHeap {
  /** Ranges in use, by their first word: words. In ascending order. */
  private used: { readonly at: number; readonly words: number }[] = [];

  /** @param words of the memory */
  constructor(private readonly words: number) {}

  /** Words of memory in which these tables fit, and each of them once more. */
  static room(tables: readonly Uint32Array[]): number {
    return 2 * tables.reduce((sum, { length }) => sum + rounded(length), 0);
  }

  /**
   * The first gap that is large enough.
   * @returns its first word
   * @throws RunError where there is none
   */
  take(words: number): number {
    const wanted = rounded(words);
    let at = 0;
    let i = 0;
    for (; i < this.used.length && this.used[i]!.at - at < wanted; i++) at = this.used[i]!.at + this.used[i]!.words;
    if (at + wanted > this.words) {
      throw new RunError(
        "device tables",
        `a table of ${4 * words} bytes does not fit in: ${4 * this.words} bytes hold the tables in use`,
        "wait until rows that name an old table are done, or restart for a table more than twice as large",
      );
    }
    this.used.splice(i, 0, { at, words: wanted });
    return at;
  }

  /** Gives back what {@link take} returned. */
  free(at: number): void {
    const i = this.used.findIndex((range) => range.at === at);
    if (i < 0) throw new Error(`no table begins at word ${at}`);
    this.used.splice(i, 1);
  }
}
