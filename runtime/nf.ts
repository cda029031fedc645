/**
 * `wingbeat/nf`: what a module needs that holds an NF of your own. A chain names it by its path, `"type": "./my-nf.mjs"`, and it exports
 * `nf`; see README.md, "An NF of your own", and examples/. In JavaScript the types serve through JSDoc:
 *
 * ```js
 * /** @type {import("wingbeat/nf").NfModule} *\/
 * export const nf = { type: "ttl-guard", outcomes: [...], create(loaded, { arena }) { ... } };
 * ```
 *
 * The module is imported once in each thread that needs it: main calls `load`, the thread that owns the NF calls `create` and all that
 * comes after. What a function throws stops the run with the file and line; no packet is lost from the ledger.
 */
import type { z } from "zod";
import { kernelNf as makeKernelNf, type KernelSpec as RuntimeKernelSpec } from "./chain/kernel-nf.js";
import type { LoadContext, OutcomeSpec, CreateContext as RuntimeCreateContext, Nf as RuntimeNf } from "./chain/nf.js";
import { FLAG as BITS, NO_PORT, type Arena as RuntimeArena, SLOT_SHIFT, SLOT_SIZE } from "./packet/arena.js";
import type { Batch } from "./packet/batch.js";
import { writeIpv4Checksum } from "./packet/checksum.js";

export { z } from "zod";
export { ConfigError, RunError } from "./errors.js";
export { MAX_BATCH } from "./packet/batch.js";
export type { Batch, LoadContext, OutcomeSpec };

/** An NF as one plain function of packet bytes. */
export interface KernelSpec<Config> extends Omit<RuntimeKernelSpec<Config>, "finish"> {
  /** Applies `value`, 0 to 2^19 - 1, to the packet, or to state of the module's own; in arrival order, for every packet. */
  finish?(arena: Arena, slot: number, value: number, outcome: number): void;
}

/**
 * Makes an NF of one plain function of packet bytes. It runs on the CPU and, where the chain places it on gpu, on gpujs devices, with the
 * same answers. What the function may contain is checked when the chain is loaded.
 */
export const kernelNf: <Config = unknown>(spec: KernelSpec<Config>) => NfModule<Config, readonly number[]> =
  makeKernelNf;
export { NO_PORT, SLOT_SHIFT, SLOT_SIZE };

/** Bits of `arena.flags`. */
export const FLAG = {
  IPV4: BITS.IPV4,
  IPV6: BITS.IPV6,
  /** Any fragment, the first one included. */
  FRAGMENT: BITS.FRAGMENT,
  LATER_FRAGMENT: BITS.LATER_FRAGMENT,
  VLAN: BITS.VLAN,
  /** `l4`, `payload`, `sport` and `dport` are meaningful. */
  L4: BITS.L4,
} as const;

/**
 * What an NF may use of the arena, and only for slots of its batch while it has the batch. Packet bytes: `u8`, `u16` and `u32` (native byte
 * order) and `view`, from `slot * SLOT_SIZE` on. Everything else is metadata by slot, whose offsets count from the start of the slot.
 *
 * May be written: bytes of the frame, [off, off + len), where what the gate has checked stays true (lengths, the IPv4 header checksum:
 * {@link setIpv4Checksum}); `portOut`, by an NF with `egressPorts`; and, before an outcome with `reparse`, `off` and `len`. The rest is
 * there to be read. A packet with an outcome that drops should stay as it came.
 */
export type Arena = Pick<
  RuntimeArena,
  | ("slots" | "u8" | "u16" | "u32" | "view" | "off" | "len" | "l3" | "l3end" | "l4" | "payload" | "payloadEnd")
  | ("sport" | "dport" | "vlan" | "proto" | "flags" | "type" | "portIn" | "portOut" | "wireLen" | "tsSec" | "tsNsec")
  | "arrival"
>;

export interface CreateContext extends Pick<RuntimeCreateContext, "name" | "seed" | "portable" | "warn"> {
  readonly arena: Arena;
}

/** An NF at work in the thread that owns it. */
export interface Nf extends Pick<RuntimeNf, "stats" | "flush" | "close"> {
  /** Writes `batch.outcomes[i]` for each of `batch.slots[i]`, i below `batch.count`; packets are in arrival order. Not async. */
  process(batch: Batch): void;
  /** What it runs on, for the result; "javascript" where absent. */
  readonly engine?: string;
}

export interface NfModule<Config = unknown, Loaded = Config> {
  /** Its kind, unlike that of any other NF of the chain. */
  readonly type: string;
  /** The index in this list is the outcome code. At most 31; the name `error` is taken by packets it fails on. */
  readonly outcomes: readonly OutcomeSpec[];
  /** Of `config` in the chain; strict objects (`z.strictObject`) catch misspelt keys. Absent: it takes no configuration. */
  readonly schema?: z.ZodType<Config>;
  /** Outcomes this configuration can produce; all of them where absent. */
  possible?(loaded: Loaded): readonly string[];
  /** Port numbers that it writes to `portOut`: a file port among them is an output. */
  egressPorts?(loaded: Loaded): readonly number[];
  /**
   * True where each of several receiving cores may have an instance of its own: what becomes of a packet depends on no other packet, and no
   * file is written. Absent: never.
   */
  replicable?(loaded: Loaded): boolean;
  /** Keys of `stats` that count: of several instances they are added up. What other keys say is the same in all. */
  readonly counted?: readonly string[];
  /** Files it writes, so that two writers of one are refused, and experiments leave them alone: `load` takes their paths from `context.resolve`. */
  outputs?(config: Config): readonly string[];
  /**
   * In main, before the run: reads and checks files; throws ConfigError with file and line. What it returns is posted to the NF's thread:
   * plain data and typed arrays. Absent: the configuration itself.
   */
  load?(config: Config, context: LoadContext): Loaded | Promise<Loaded>;
  /** In the thread that will call it. */
  create(loaded: Loaded, context: CreateContext): Nf;
}

/** Writes the header checksum of a slot's IPv4 packet anew, after a change of its header. */
export function setIpv4Checksum(arena: Arena, slot: number): void {
  const header = (slot << SLOT_SHIFT) + arena.l3[slot]!;
  writeIpv4Checksum(arena.u16, header, (arena.u8[header]! & 15) * 4);
}
