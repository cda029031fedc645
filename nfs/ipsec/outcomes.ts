import type { OutcomeSpec } from "../../runtime/chain/nf.js";

/** Outcome codes: indices into {@link OUTCOMES}. */
export const OUTCOME = {
  PROTECTED: 0,
  OPENED: 1,
  BYPASS: 2,
  NO_SA: 3,
  BAD_ICV: 4,
  REPLAYED: 5,
  MALFORMED: 6,
  TOO_BIG: 7,
  SEQ_EXHAUSTED: 8,
} as const;

export const OUTCOMES: readonly OutcomeSpec[] = [
  { name: "protected" },
  { name: "opened", reparse: true },
  { name: "bypass", drops: true },
  { name: "no-sa", drops: true },
  { name: "bad-icv", drops: true },
  { name: "replayed", drops: true },
  { name: "malformed", drops: true },
  { name: "too-big", drops: true, icmp: "too-big" },
  { name: "seq-exhausted", drops: true },
];
