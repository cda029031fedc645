/**
 * Opens the multi-pattern search engine for a rule set.
 *
 * | engine | what | when |
 * | --- | --- | --- |
 * | hyperscan | libhs.so.5: Hyperscan, or Vectorscan on other processors | it loads |
 * | pair-filter | TypeScript, filter and comparison | else, up to FILTER_MAX_PATTERNS |
 * | aho-corasick | TypeScript, automaton of up to AUTOMATON_MAX_BYTES | else; larger sets are the filter's again |
 */
import { RunError } from "../../../runtime/errors.js";
import type { Arena } from "../../../runtime/packet/arena.js";
import { automatonBytes } from "./ac-build.js";
import { AhoCorasick } from "./aho-corasick.js";
import { HyperscanMpse } from "./hyperscan.js";
import { loadHyperscan } from "./hyperscan-library.js";
import { EmptyMpse, type Mpse, type Pattern } from "./mpse.js";
import { PairFilter } from "./pair-filter.js";

export type EngineChoice = "auto" | "hyperscan" | "aho-corasick" | "pair-filter";

export interface OpenOptions {
  readonly engine: EngineChoice;
  /** No native library, whatever `engine` says. */
  readonly portable: boolean;
  warn(line: string): void;
}

/**
 * Up to here the pair filter is the faster TypeScript engine. ns per packet of 470 bytes of payload, filter against automaton, on a
 * busy 2.5 GHz Cascade Lake (tenth percentile of short rounds): 147 patterns 580 / 1500 on random bytes and 780 / 1500 on HTTP-like text, 500 patterns 660 / 1500 and
 * 1560 / 1500, 1,000 patterns 680 / 1600 and 2250 / 1600: text passes the filter more and more often.
 */
export const FILTER_MAX_PATTERNS = 500;
/** Largest automaton that is built by choice. 256 MiB: about 40,000 Snort patterns; building takes twice that for a while. */
export const AUTOMATON_MAX_BYTES = 256 * 1024 * 1024;
const REMEDY = "apt-get install libhyperscan5";

export function openMpse(patterns: readonly Pattern[], arena: Arena, options: OpenOptions): Mpse {
  const empty = patterns.findIndex((pattern) => pattern.bytes.length === 0);
  if (empty >= 0)
    throw new RunError("nids", `pattern ${empty} is empty and would match everywhere`, "give the rule a content");
  if (patterns.length === 0) return new EmptyMpse();
  const { engine, portable, warn } = options;
  if (portable || engine === "aho-corasick" || engine === "pair-filter") {
    return openPortable(patterns, arena, engine);
  }
  const hs = loadHyperscan();
  if (typeof hs === "string") {
    if (engine === "hyperscan") throw new RunError("nids: engine hyperscan", hs, REMEDY);
    const fallback = openPortable(patterns, arena, "auto");
    warn(`nids: ${hs}: searching with ${fallback.engine} in TypeScript instead, slower; remedy: ${REMEDY}`);
    return fallback;
  }
  return new HyperscanMpse(hs, patterns, arena);
}

function openPortable(patterns: readonly Pattern[], arena: Arena, engine: EngineChoice): Mpse {
  if (engine === "aho-corasick") {
    const bytes = automatonBytes(patterns);
    if (bytes > AUTOMATON_MAX_BYTES) {
      throw new RunError(
        "nids: engine aho-corasick",
        `the automaton of ${patterns.length} patterns takes up to ${bytes} bytes, more than ${AUTOMATON_MAX_BYTES}`,
        'use "auto"',
      );
    }
    return new AhoCorasick(patterns, arena);
  }
  const filter =
    engine === "pair-filter" ||
    patterns.length <= FILTER_MAX_PATTERNS ||
    automatonBytes(patterns) > AUTOMATON_MAX_BYTES;
  return filter ? new PairFilter(patterns, arena) : new AhoCorasick(patterns, arena);
}

export type { Mpse, Pattern } from "./mpse.js";
