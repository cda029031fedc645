/**
 * The automaton as the kernel (kernels/nids.*) reads it.
 *
 * It differs from the CPU's (mpse/ac-build.ts) in two ways. The kernel answers yes or no, so all accepting states are one, which no byte
 * leaves. And it is exact where some patterns ignore case and others do not (mpse/ac-product.ts). The CPU's folds case, and compares
 * once more what it finds; a kernel that stopped at what folding finds would send the CPU nearly every packet of text: of 1,024 packets of
 * HTTP-like text of 1472 bytes 1,023, where 12 held one of the 147 patterns of the benchmark.
 *
 * Layout, in u32 words, native byte order:
 *   0               ACCEPT       the accepting state, as transitions name it
 *   1               TRANSITIONS  word at which the transitions begin
 *   2               WHOLE        1 where everything behind the IP header is searched, else the L4 payload is
 *   16              class of each of the 256 bytes, 4 to a word
 *   80              first state of each depth (bytes from the root) from 0 to the greatest + 1, as transitions name it
 *   TRANSITIONS     an entry for each state and class: the next state, multiplied by the number of classes
 * States are numbered by depth, the accepting one last. (Entries of 16 bits, which halve the table, were no faster on PoCL with 147
 * patterns, nor were rows of 256 bytes without classes, which triple it.)
 */
import { ConfigError } from "../../runtime/errors.js";
import { automatonBytes, buildAutomaton } from "./mpse/ac-build.js";
import { ACCEPTS, product } from "./mpse/ac-product.js";
import { AUTOMATON_MAX_BYTES } from "./mpse/index.js";
import type { Pattern } from "./mpse/mpse.js";

const ACCEPT = 0;
const TRANSITIONS = 1;
const WHOLE = 2;
const CLASSES = 16;
const DEPTHS = CLASSES + 256 / 4;

/**
 * @throws ConfigError where the automaton takes, or those it is made of may take, more than AUTOMATON_MAX_BYTES: the host needs several times
 * that for a while, and the device has to hold it beside the tables of the other NFs
 */
export function gpuTables(patterns: readonly Pattern[], whole = false): Uint32Array {
  const kinds = [true, false].map((nocase) => patterns.filter((pattern) => pattern.nocase === nocase));
  if (kinds.some((kind) => automatonBytes(kind) > AUTOMATON_MAX_BYTES)) throw tooBig(patterns.length);
  const [nocase, exact] = kinds.map((kind) => buildAutomaton(kind));
  const both = product(nocase!, exact!, AUTOMATON_MAX_BYTES / 4);
  if (both === undefined) throw tooBig(patterns.length);

  const { classOf, classes, next, depths } = both;
  const transitions = DEPTHS + depths.length;
  const accept = next.length;
  const out = new Uint32Array(transitions + accept + classes);
  out[ACCEPT] = accept;
  out[TRANSITIONS] = transitions;
  out[WHOLE] = whole ? 1 : 0;
  new Uint8Array(out.buffer).set(classOf, CLASSES * 4);
  for (const [depth, first] of depths.entries()) out[DEPTHS + depth] = first * classes;
  for (let i = 0; i < next.length; i++) out[transitions + i] = next[i] === ACCEPTS ? accept : next[i]! * classes;
  out.fill(accept, transitions + accept);
  return out;
}

function tooBig(patterns: number): ConfigError {
  return new ConfigError(
    "nids on a GPU",
    `the automaton of ${patterns} patterns takes more than ${AUTOMATON_MAX_BYTES} bytes, the most that is built for a device`,
    "load fewer rules, or place the nids on the CPU, where Hyperscan takes them",
  );
}
