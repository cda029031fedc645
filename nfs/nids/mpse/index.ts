/** Chooses the multi-pattern engine. */
import type { Arena } from "../../../runtime/packet/arena.js";
import type { Mpse, Pattern } from "./mpse.js";
import { ReferenceMpse } from "./reference.js";

export interface MpseOptions {
  readonly engine: "auto" | "hyperscan" | "aho-corasick";
  readonly portable: boolean;
  warn(line: string): void;
}

export function openMpse(patterns: readonly Pattern[], arena: Arena, _options: MpseOptions): Mpse {
  return new ReferenceMpse(patterns, arena);
}
