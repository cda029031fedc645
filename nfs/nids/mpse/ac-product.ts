/**
 * Two automata walked at once, as one that says whether either accepts: for patterns of which some ignore case and others do not, which
 * one automaton over folded bytes cannot tell apart.
 *
 * Only states that can be reached are made, and none behind an accepting one. A state of the product is the longer of its two halves'
 * strings, and leaves little choice for the shorter half, so there are few more states than the two have together.
 */
import type { Automaton } from "./ac-build.js";

/** Entry of {@link Product.next}: a pattern ends here. */
export const ACCEPTS = -1;
const NONE = -1;
const FIRST_CAPACITY = 1024;

export interface Product {
  /** Class of every byte; bytes that neither automaton tells apart share one. */
  readonly classOf: Uint8Array;
  readonly classes: number;
  /** [state * classes + class]: next state or ACCEPTS. States are numbered by depth: bytes from the root, state 0. */
  readonly next: Int32Array;
  /** First state of each depth; at the end the number of states. */
  readonly depths: readonly number[];
}

/** @returns undefined where `next` would have more than `mostEntries` entries */
export function product(a: Automaton, b: Automaton, mostEntries: number): Product | undefined {
  const { classOf, byteOf } = commonClasses(a, b);
  const classes = byteOf.length;
  const classOfA = Uint8Array.from(byteOf, (byte) => a.classOf[byte]!);
  const classOfB = Uint8Array.from(byteOf, (byte) => b.classOf[byte]!);
  const states = new States();
  const depths = [0];
  let next = new Int32Array(FIRST_CAPACITY * classes);
  // Breadth first. When the first state of a depth is at hand, all of that depth have been found.
  for (let state = 0; state < states.count; state++) {
    if (state === depths[depths.length - 1]) depths.push(states.count);
    const row = state * classes;
    if (states.count * classes > mostEntries) return undefined;
    if (row + classes > next.length) {
      const longer = new Int32Array(next.length * 2);
      longer.set(next);
      next = longer;
    }
    const fromA = states.a[state]!;
    const fromB = states.b[state]!;
    for (let c = 0; c < classes; c++) {
      const toA = a.table[fromA + classOfA[c]!]!;
      const toB = b.table[fromB + classOfB[c]!]!;
      next[row + c] = toA >= a.acceptFrom || toB >= b.acceptFrom ? ACCEPTS : states.numberOf(toA, toB);
    }
  }
  return { classOf, classes, next: next.subarray(0, states.count * classes), depths };
}

/** A byte of each class in common. */
function commonClasses(a: Automaton, b: Automaton): { classOf: Uint8Array; byteOf: number[] } {
  const known = new Map<number, number>();
  const byteOf: number[] = [];
  const classOf = Uint8Array.from({ length: 256 }, (_, byte) => {
    const key = a.classOf[byte]! * 256 + b.classOf[byte]!;
    let number = known.get(key);
    if (number === undefined) {
      number = byteOf.push(byte) - 1;
      known.set(key, number);
    }
    return number;
  });
  return { classOf, byteOf };
}

/** Pairs of states, numbered as they are met; an open-addressing hash index, since a Map takes ten times as long. */
class States {
  count = 0;
  /** Halves of each pair, as table entries. */
  a = new Int32Array(FIRST_CAPACITY);
  b = new Int32Array(FIRST_CAPACITY);
  /** At most half full. */
  private index = new Int32Array(2 * FIRST_CAPACITY).fill(NONE);

  constructor() {
    this.numberOf(0, 0);
  }

  numberOf(a: number, b: number): number {
    const at = this.find(a, b);
    const known = this.index[at]!;
    if (known !== NONE) return known;
    const number = this.count++;
    this.index[at] = number;
    this.a[number] = a;
    this.b[number] = b;
    if (this.count === this.a.length) this.grow();
    return number;
  }

  /** Where the pair stands in the index, or would. */
  private find(a: number, b: number): number {
    const { index } = this;
    const mask = index.length - 1;
    const mixed = Math.imul(Math.imul(a, 0x85ebca6b) ^ b, 0x9e3779b1);
    let at = (mixed ^ (mixed >>> 15)) & mask;
    for (let number = index[at]!; number !== NONE; number = index[at]!) {
      if (this.a[number] === a && this.b[number] === b) break;
      at = (at + 1) & mask;
    }
    return at;
  }

  private grow(): void {
    const capacity = 2 * this.count;
    const [a, b] = [this.a, this.b];
    this.a = new Int32Array(capacity);
    this.b = new Int32Array(capacity);
    this.a.set(a);
    this.b.set(b);
    this.index = new Int32Array(2 * capacity).fill(NONE);
    for (let number = 0; number < this.count; number++) this.index[this.find(a[number]!, b[number]!)] = number;
  }
}
