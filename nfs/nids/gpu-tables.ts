/**
 * The automaton as the kernel (kernels/nids.*) reads it.
 *
 * The kernel answers yes or no, so all accepting states are one, which every byte leads back to, and what lies only behind them is
 * left out. Case is folded as on the CPU (mpse/ac-build.ts): where some pattern ignores it, the kernel may say yes to a packet
 * that holds another pattern in the wrong case. The CPU, which has to identify the patterns anyway, then finds none.
 */
import { ConfigError } from "../../runtime/errors.js";
import { type Automaton, automatonBytes, buildAutomaton } from "./mpse/ac-build.js";
import { AUTOMATON_MAX_BYTES } from "./mpse/index.js";
import type { Pattern } from "./mpse/mpse.js";

/** Word that holds the accepting state, as it stands in transitions. */
const ACCEPT = 0;
/** Word at which the class of each byte begins, 4 to a word. */
const CLASSES = 16;
/** Word at which the transitions begin: row s * classes, an entry for each class. */
const TRANSITIONS = CLASSES + 256 / 4;

/**
 * @throws ConfigError where the automaton may take more than AUTOMATON_MAX_BYTES: building it takes twice that of host memory, and a device
 * has to hold it beside the tables of the other NFs
 */
export function gpuTables(patterns: readonly Pattern[]): Uint32Array {
  const bytes = automatonBytes(patterns);
  if (bytes > AUTOMATON_MAX_BYTES) {
    throw new ConfigError(
      "nids on a GPU",
      `the automaton of ${patterns.length} patterns takes up to ${bytes} bytes, more than the ${AUTOMATON_MAX_BYTES} that are built for a device`,
      "load fewer rules, or place it on the CPU",
    );
  }
  const automaton = buildAutomaton(patterns);
  const { classes, classOf, table } = automaton;
  const { numbers, accept } = deviceStates(automaton);
  const out = new Uint32Array(TRANSITIONS + (accept + 1) * classes);
  out[ACCEPT] = accept * classes;
  new Uint8Array(out.buffer).set(classOf, CLASSES * 4);
  out.fill(accept * classes, TRANSITIONS + accept * classes);
  numbers.forEach((number, state) => {
    if (number < 0 || number === accept) return;
    for (let c = 0; c < classes; c++) {
      out[TRANSITIONS + number * classes + c] = numbers[table[state * classes + c]! / classes]! * classes;
    }
  });
  return out;
}

/** [state of the automaton]: its number on the device, or -1 where it lies behind accepting ones only; the accepting one is the last. */
function deviceStates({ table, classes, acceptFrom }: Automaton): { numbers: Int32Array; accept: number } {
  const states = table.length / classes;
  const numbers = new Int32Array(states).fill(-1);
  const reached = new Uint8Array(states);
  const queue = new Int32Array(states);
  reached[0] = 1;
  let tail = 1;
  for (let head = 0; head < tail; head++) {
    const row = queue[head]! * classes;
    if (row >= acceptFrom) continue;
    for (let c = 0; c < classes; c++) {
      const next = table[row + c]! / classes;
      if (reached[next] !== 0) continue;
      reached[next] = 1;
      queue[tail++] = next;
    }
  }
  let accept = 0;
  for (let state = 0; state < acceptFrom / classes; state++) if (reached[state] !== 0) numbers[state] = accept++;
  numbers.fill(accept, acceptFrom / classes);
  return { numbers, accept };
}
