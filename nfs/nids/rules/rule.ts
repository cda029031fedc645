/**
 * A rule as loaded: plain data, so that it can be posted to the worker that evaluates it.
 * Positions and lengths are bytes; "buffer" is what the rule scans (see {@link Protocol.buffer}).
 */
import type { Pattern } from "../mpse/mpse.js";

export type Action = "pass" | "drop" | "reject" | "alert" | "log";

/** The protocol word of a rule's header. */
export interface Protocol {
  readonly name: string;
  /** IP protocol numbers it means; empty: any. */
  readonly numbers: readonly number[];
  /** IP version it means; 0: either. */
  readonly version: 0 | 4 | 6;
  /** `payload`: the L4 payload of whole packets. `ip`: everything behind the IP header, fragments included. */
  readonly buffer: "payload" | "ip";
}

/** One side of a header; null means any. Sets are ascending, disjoint, inclusive [low, high] pairs. */
export interface Endpoint {
  /** IPv4 addresses as numbers, two words a pair. */
  readonly v4: Uint32Array | null;
  /** IPv6 addresses, eight words a pair: low in four words, most significant first, then high. */
  readonly v6: Uint32Array | null;
  /** Ports, two words a pair. */
  readonly ports: Uint32Array | null;
}

export interface Header {
  readonly action: Action;
  readonly protocol: Protocol;
  readonly source: Endpoint;
  readonly destination: Endpoint;
  /** `<>`: either direction. */
  readonly bothWays: boolean;
}

/** A number in the packet's headers lies in [min, max], or does not (`negated`). */
export interface RangeTest {
  readonly kind: "dsize" | "ttl" | "itype" | "icode";
  readonly min: number;
  readonly max: number;
  readonly negated: boolean;
}

/** TCP flags, those in `ignored` masked out. */
export interface FlagsTest {
  readonly kind: "flags";
  /** exact: just these; all: these and any others (+); any: one of these (*); none: none of these (!). */
  readonly mode: "exact" | "all" | "any" | "none";
  readonly wanted: number;
  readonly ignored: number;
}

/** A test of the packet's headers; costs little, so it comes before the contents. */
export type PacketTest = RangeTest | FlagsTest;

export interface FlowTest {
  readonly direction: "any" | "to_server" | "to_client";
  readonly established: boolean | null;
}

/**
 * Bytes to be found with all of themselves in the window [base + offset, base + offset + span), cut to the buffer, where base
 * is 0, or the cursor (the end of the previous match) if `relative`.
 */
export interface ContentStep {
  readonly kind: "content";
  readonly bytes: Uint8Array;
  readonly nocase: boolean;
  readonly negated: boolean;
  readonly relative: boolean;
  /** `offset` or `distance`. */
  readonly offset: number;
  /** `depth` or `within`; Infinity where there is none. */
  readonly span: number;
  /** The match must end where the buffer ends. */
  readonly endswith: boolean;
  /** `fast_pattern:only`: found anywhere, and leaves the cursor alone. */
  readonly anywhere: boolean;
}

/** There is data at `at` (absolute: at < length; relative to the cursor: cursor + at <= length, as Suricata has it). */
export interface IsDataAtStep {
  readonly kind: "isdataat";
  readonly at: number;
  readonly relative: boolean;
  readonly negated: boolean;
}

/** A regular expression over the buffer (or the part of it behind the cursor) as latin1 text. */
export interface PcreStep {
  readonly kind: "pcre";
  /** JavaScript source and flags that mean what the PCRE meant. */
  readonly source: string;
  readonly flags: string;
  readonly relative: boolean;
  readonly negated: boolean;
}

/** Options that look into the buffer, in the rule's order. Positive contents and pcres move the cursor. */
export type Step = ContentStep | IsDataAtStep | PcreStep;

export interface Rule extends Header {
  /** file:line of its first line. */
  readonly where: string;
  readonly sid: number;
  readonly gid: number;
  readonly rev: number;
  readonly msg: string;
  readonly classtype: string;
  readonly priority: number;
  readonly tests: readonly PacketTest[];
  readonly flow: FlowTest | null;
  readonly steps: readonly Step[];
  /** What goes into the multi-pattern search; null where no positive content exists: then every packet is looked at. */
  readonly pattern: Pattern | null;
}

/** Whether a packet that the rule matches is dropped. */
export function blocks(action: Action): boolean {
  return action === "drop" || action === "reject";
}
