/**
 * The automaton as the kernel (kernels/nids.*) reads it.
 *
 * It differs from the CPU's (mpse/ac-build.ts) in two ways. The kernel answers yes or no, so all accepting states are one, which no byte
 * leaves; what lies only behind them is left out. And it is exact where some patterns ignore case and others do not: it is the product of
 * an automaton for each kind, of which only the states that can be reached are made. (The CPU's folds case and compares once more what it
 * finds. On HTTP-like text the 147 patterns of the benchmark then stopped the kernel in 99 packets of 100 of 1472 bytes, one of which hit.)
 * A state of the product is the longer of its two halves' strings, and of the shorter half there is little choice, so there are few more
 * states than the two have together.
 *
 * Layout, in u32 words, native byte order:
 *   0               ACCEPT       the accepting state, as transitions name it
 *   1               TRANSITIONS  word at which the transitions begin
 *   16              classes of the 256 bytes, 4 to a word
 *   80              first state of each depth (bytes from the root) from 0 to the greatest + 1, as transitions name it
 *   TRANSITIONS     an entry for each state and class: the next state, multiplied by the number of classes
 * States are numbered by depth, the accepting one last.
 */
import { ConfigError } from "../../runtime/errors.js";
import { type Automaton, automatonBytes, buildAutomaton } from "./mpse/ac-build.js";
import { AUTOMATON_MAX_BYTES } from "./mpse/index.js";
import type { Pattern } from "./mpse/mpse.js";

const ACCEPT = 0;
const TRANSITIONS = 1;
const CLASSES = 16;
const DEPTHS = CLASSES + 256 / 4;
/** In the product's transitions while it is built. */
const TO_ACCEPT = -1;

/**
 * @throws ConfigError where the tables take, or building them may take, more than AUTOMATON_MAX_BYTES: the host needs three times that for a
 * while, and the device has to hold them beside the tables of the other NFs
 */
export function gpuTables(patterns: readonly Pattern[]): Uint32Array {
  const kinds = [true, false].map((nocase) => patterns.filter((pattern) => pattern.nocase === nocase));
  for (const kind of kinds) refuseAbove(AUTOMATON_MAX_BYTES, automatonBytes(kind), patterns.length);
  const [nocase, exact] = kinds.map((kind) => buildAutomaton(kind));
  const { classOf, classes, next, depths } = product(nocase!, exact!, patterns.length);
  const states = next.length / classes;
  const transitions = DEPTHS + depths.length;
  const out = new Uint32Array(transitions + (states + 1) * classes);
  const accept = states * classes;
  out[ACCEPT] = accept;
  out[TRANSITIONS] = transitions;
  new Uint8Array(out.buffer).set(classOf, CLASSES * 4);
  for (const [depth, first] of depths.entries()) out[DEPTHS + depth] = first * classes;
  for (let i = 0; i < next.length; i++) {
    out[transitions + i] = next[i] === TO_ACCEPT ? accept : next[i]! * classes;
  }
  out.fill(accept, transitions + accept);
  return out;
}

function refuseAbove(most: number, bytes: number, patterns: number): void {
  if (bytes <= most) return;
  throw new ConfigError(
    "nids on a GPU",
    `the automaton of ${patterns} patterns takes up to ${bytes} bytes, more than the ${most} that are built for a device`,
    "load fewer rules, or place the nids on the CPU, where Hyperscan takes them",
  );
}

interface Product {
  readonly classOf: Uint8Array;
  readonly classes: number;
  /** [state * classes + class]: next state or TO_ACCEPT. */
  readonly next: Int32Array;
  /** First state of each depth; at the end the number of states. */
  readonly depths: readonly number[];
}

/** Breadth first, so states are numbered by depth. */
function product(a: Automaton, b: Automaton, patterns: number): Product {
  const { classOf, classes, byteOf } = commonClasses(a, b);
  const statesOfB = b.table.length / b.classes;
  const numbers = new Map<number, number>([[0, 0]]);
  const inA = [0];
  const inB = [0];
  const depths = [0];
  let next = new Int32Array(1024 * classes);
  for (let state = 0; state < inA.length; state++) {
    if (state === (depths.at(-1) ?? 0)) depths.push(inA.length);
    if ((state + 1) * classes > next.length) {
      refuseAbove(AUTOMATON_MAX_BYTES, (state + 1) * classes * 4, patterns);
      const longer = new Int32Array(next.length * 2);
      longer.set(next);
      next = longer;
    }
    for (let c = 0; c < classes; c++) {
      const byte = byteOf[c]!;
      const toA = a.table[inA[state]! + a.classOf[byte]!]!;
      const toB = b.table[inB[state]! + b.classOf[byte]!]!;
      if (toA >= a.acceptFrom || toB >= b.acceptFrom) {
        next[state * classes + c] = TO_ACCEPT;
        continue;
      }
      const key = (toA / a.classes) * statesOfB + toB / b.classes;
      let number = numbers.get(key);
      if (number === undefined) {
        number = inA.length;
        numbers.set(key, number);
        inA.push(toA);
        inB.push(toB);
      }
      next[state * classes + c] = number;
    }
  }
  return { classOf, classes, next: next.subarray(0, inA.length * classes), depths };
}

/** Bytes that neither automaton tells apart share a class; byteOf has one of them for each. */
function commonClasses(a: Automaton, b: Automaton): { classOf: Uint8Array; classes: number; byteOf: number[] } {
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
  return { classOf, classes: byteOf.length, byteOf };
}
