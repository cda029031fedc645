/**
 * Builds an Aho-Corasick automaton (Aho and Corasick, "Efficient String Matching", CACM 18(6), 1975) as one dense table.
 *
 * Bytes are first mapped to CLASSES: bytes that no pattern tells apart share one, and both cases of a letter do as soon as one pattern
 * ignores case. State s is the row [s * classes, (s + 1) * classes) of the table; entries hold the next state already multiplied by
 * `classes`, so a step is `table[state + classOf[byte]]`. Accepting states have the highest numbers: one comparison finds them.
 */
import { LOWER, type Pattern } from "./mpse.js";

export interface Automaton {
  readonly classOf: Uint8Array;
  readonly classes: number;
  readonly table: Int32Array;
  /** States from here on (multiplied by `classes`, like table entries) accept. */
  readonly acceptFrom: number;
  /** Per accepting state, in order: its outputs are `outputs` [outputAt[k], outputAt[k + 1]), suffixes' outputs included. */
  readonly outputAt: Uint32Array;
  /** Pattern ids. */
  readonly outputs: Uint32Array;
}

/** Both cases are one class: then patterns that do not ignore case must be compared once more. */
export function folds(patterns: readonly Pattern[]): boolean {
  return patterns.some((pattern) => pattern.nocase);
}

/** Class of every byte; class 0 is "in no pattern". */
function classMap(patterns: readonly Pattern[]): { classOf: Uint8Array; classes: number } {
  const fold = folds(patterns);
  const classOf = new Uint8Array(256);
  const seen = new Map<number, number>();
  const used = new Set<number>();
  for (const { bytes } of patterns) for (const byte of bytes) used.add(fold ? LOWER[byte]! : byte);
  // A class 0 is not needed where all 256 bytes occur; then classes are 256 and still fit u8.
  const first = used.size === 256 ? 0 : 1;
  for (const byte of [...used].sort((a, b) => a - b)) seen.set(byte, first + seen.size);
  for (let byte = 0; byte < 256; byte++) classOf[byte] = seen.get(fold ? LOWER[byte]! : byte) ?? 0;
  return { classOf, classes: first + used.size };
}

/** Bytes the table takes at most: patterns that share prefixes take less. */
export function automatonBytes(patterns: readonly Pattern[]): number {
  return 4 * classMap(patterns).classes * patterns.reduce((sum, { bytes }) => sum + bytes.length, 1);
}

export function buildAutomaton(patterns: readonly Pattern[]): Automaton {
  const { classOf, classes } = classMap(patterns);
  const most = patterns.reduce((sum, { bytes }) => sum + bytes.length, 1);
  const trie = new Int32Array(most * classes).fill(-1);
  const own: number[][] = [[]];
  patterns.forEach(({ bytes }, id) => {
    let state = 0;
    for (const byte of bytes) {
      const edge = state * classes + classOf[byte]!;
      if (trie[edge]! < 0) {
        trie[edge] = own.length;
        own.push([]);
      }
      state = trie[edge]!;
    }
    own[state]!.push(id);
  });

  // Breadth first: a state's failure state is nearer to the root, hence complete before it is needed.
  const states = own.length;
  const fail = new Int32Array(states);
  const order = new Int32Array(states);
  let tail = 1;
  for (let head = 0; head < tail; head++) {
    const state = order[head]!;
    const row = state * classes;
    const failRow = fail[state]! * classes;
    for (let c = 0; c < classes; c++) {
      const next = trie[row + c]!;
      const fallback = state === 0 ? 0 : trie[failRow + c]!;
      if (next < 0) {
        trie[row + c] = fallback;
      } else {
        fail[next] = fallback;
        order[tail++] = next;
        if (own[fallback]!.length > 0) own[next] = [...own[next]!, ...own[fallback]!];
      }
    }
  }

  // Renumber: breadth-first order keeps the states near the root, where ordinary traffic stays, together; accepting ones last.
  const accepting = order.filter((state) => own[state]!.length > 0);
  const newOrder = [...order.filter((state) => own[state]!.length === 0), ...accepting];
  const renumbered = new Int32Array(states);
  newOrder.forEach((state, i) => {
    renumbered[state] = i;
  });
  const table = new Int32Array(states * classes);
  newOrder.forEach((state, i) => {
    for (let c = 0; c < classes; c++) table[i * classes + c] = renumbered[trie[state * classes + c]!]! * classes;
  });
  const outputAt = new Uint32Array(accepting.length + 1);
  const outputs: number[] = [];
  accepting.forEach((state, k) => {
    for (const id of own[state]!) outputs.push(id);
    outputAt[k + 1] = outputs.length;
  });
  return {
    classOf,
    classes,
    table,
    acceptFrom: (states - accepting.length) * classes,
    outputAt,
    outputs: Uint32Array.from(outputs),
  };
}
