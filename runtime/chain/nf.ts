/**
 * What a network function is. A folder `nfs/<type>/` whose index.ts exports `nf` of type {@link NfModule}; it is found by its
 * name, nothing is registered.
 *
 * Processing has three parts, so that placement never changes bytes:
 *   prepare   in arrival order, owns state (sequence numbers, IVs, which SA). May reject early by writing the outcome.
 *   transform a pure function of packet bytes, the packet's params and read-only tables. A GPU device replaces only this.
 *   finish    in arrival order: decides replayed, bad-icv..., moves windows, writes outcomes.
 * `process` is the three in a row for CPU placement, and may fuse them as long as bytes and outcomes stay the same.
 *
 * An outcome that is an error leaves packet bytes and metadata untouched. The gate has validated every length: an NF reads
 * unchecked within [l3, l3end).
 */
import type { z } from "zod";
import type { Arena } from "../packet/arena.js";
import type { Batch } from "../packet/batch.js";

/** An outcome with no flag set follows the NF's own policy row where no row names it. */
export interface OutcomeSpec {
  readonly name: string;
  /** Drops with this outcome as the reason unless a policy row names `nf.outcome`. */
  readonly drops?: boolean;
  /** Drops always; no policy row can lift it (a rule whose action is drop). */
  readonly alwaysDrops?: boolean;
  /** The packet was decapsulated: it passes gate and classifier again before the policy is asked. */
  readonly reparse?: boolean;
}

/** What an NF may know of its surroundings while it loads. */
export interface LoadContext {
  /** Name of the NF in the chain, for messages. */
  readonly name: string;
  /** Where in the chain file its configuration stands, e.g. `chain.json: nfs.ipsec.config`. */
  readonly where: string;
  /** Resolves a path relative to the chain file. Where experiments discard outputs, that of an output leads to the null device. */
  resolve(path: string): string;
  /** Names of all ports; the index is the port number in `portIn` and `portOut`. */
  readonly ports: readonly string[];
  /** Indices of ports known to transmit: what a default or a spread goes to. */
  readonly txPorts: readonly number[];
  /**
   * Indices of ports a configuration may send to by name: a file port that is not declared an input becomes an output by being
   * named (see {@link NfModule.egressPorts}). Absent: txPorts.
   */
  readonly nameablePorts?: readonly number[];
  /** Largest IP packet in bytes each port takes (layer 3, as interfaces count it), by port index. */
  readonly mtu: readonly number[];
  /** One line on stderr: what was skipped, what falls back, with the remedy. */
  warn(line: string): void;
}

export interface CreateContext {
  readonly name: string;
  readonly arena: Arena;
  /** `--seed`: everything random becomes a function of it. Undefined in production: CSPRNG only. */
  readonly seed: number | undefined;
  /** Run without native libraries, for comparison; else the NF probes and falls back by itself. */
  readonly portable: boolean;
  /** Where its transform runs; absent: cpu. With "gpu" the engine calls `offload` and never `process`. */
  readonly place?: "cpu" | "gpu";
  /**
   * Stops the run as a failed one: nothing more is received, what is under way comes to its end, and the summary says `failure`. For NFs that
   * go on meanwhile; absent: throw.
   */
  fail?(failure: string): void;
  warn(line: string): void;
}

/**
 * What an NF does on the CPU around its kernel. Any number of batches may be prepared before the first of them is finished, and
 * packets are finished in other batches than they were prepared in; both in arrival order. So what lies between the two is kept in the
 * slot: outcome (by the engine), params, packet bytes.
 */
export interface Offload {
  /**
   * In arrival order: owns state (sequence numbers, IVs, which SA). Writes the params of packets the kernel has to see, PARAM_PLACE
   * among them, and `wanted[i]` = 1; 0 where the kernel is not needed. Writes outcomes[i] for all: final, or what `finish` needs to know.
   * @returns how many are wanted
   */
  prepare(batch: Batch, wanted: Uint8Array): number;
  /**
   * In arrival order, over packets that were prepared and, where wanted, served by the kernel: outcomes[i] is what prepare wrote, and is
   * final afterwards.
   */
  finish(batch: Batch): void;
}

/** Parts of a packet, coarse enough to be named: Ethernet header; TTL and checksum of the IP header; the rest of it; all that is behind. */
export type PacketPart = "frame" | "ttl" | "header" | "data";

/**
 * What lets a packet go from NF to NF on the device itself (kernels/forward.wgsl): the kernel of this NF, or of the one behind it, runs on it
 * before the host has finished it here. So it has to be known what a finish that comes later would still change. (NBA declares its data
 * blocks for the like.)
 */
export interface GpuForward<Loaded> {
  /**
   * Whether an outcome is certain from what the kernel answers: `nf_<program>_outcome` then names it. `finish` has to come to it as well, and
   * to leave packet bytes as they are but for `changes`.
   * @returns in words why the CPU has to decide, where it has
   */
  final(outcome: string, loaded: Loaded): true | string;
  /** What `finish` changes of a packet whose outcome is final. */
  readonly changes: readonly PacketPart[];
  /** How a packet comes to the kernel on the device; or why it does not, in words. */
  enters(loaded: Loaded): GpuEntrance | string;
}

/** `prepare` as `nf_<program>_enter` does it: no state, nothing but the packet and what the gate has found in it. */
export interface GpuEntrance {
  /** What that and the kernel read. */
  readonly reads: readonly PacketPart[];
  /** Words of the params that prepare and enter write alike: with other values, the kernel's answer is to another question. */
  readonly asks: readonly number[];
  /** Words of the params that the kernel answers in. */
  readonly answers: readonly number[];
}

/** How an NF runs on a GPU. */
export interface GpuProgram<Loaded> {
  /** Device code: kernels/<program>.cl and .wgsl, nfs/<program>/gpujs.ts; or the absolute path of a user's module, which holds `plain`. */
  readonly program: string;
  /** A kernel that is a plain function, for gpu.js alone (see device/gpujs/program.ts). */
  readonly plain?: unknown;
  /** What the kernel changes: packet bytes within PARAM_PLACE and params, or params alone. Devices that copy want to know. */
  readonly writes: "packet" | "params";
  /** Read-only tables as the kernel reads them, u32 in native byte order. */
  tables(loaded: Loaded): Uint32Array;
  /** Absent: every packet comes from the host and goes back to it. */
  readonly forward?: GpuForward<Loaded>;
}

/** An NF at work in the thread that owns it. */
export interface Nf {
  /** CPU placement: from bytes to outcomes. */
  process(batch: Batch): void;
  /** Present where the NF was created for a GPU. */
  readonly offload?: Offload;
  /** Which implementation `process` uses, for results and doctor: "hyperscan 5.4.0", "aho-corasick", "ipsec-mb 1.3.0"... */
  readonly engine: string;
  /** More keys for the NF's entry in the result, e.g. `{"rules":{"loaded":1,"skipped":0}}`. Plain JSON. */
  stats?(): Record<string, unknown>;
  /** Writes out what is buffered (alerts). */
  flush?(): void;
  /** Flushes and releases native memory. Called once, after the last batch. */
  close?(): void;
  /** nids: (pcap_cnt, signature_id) pairs so far, for alerts_digest; kept only when `keepAlerts` was called before. */
  keepAlerts?(): void;
  alerts?(): ReadonlyArray<readonly [number, number]>;
}

export interface NfModule<Config = unknown, Loaded = unknown> {
  readonly type: string;
  /** The index in this list is the outcome code. At most 32. */
  readonly outcomes: readonly OutcomeSpec[];
  /** Schema of `config`, strict; its errors are reported with the key. */
  readonly schema: z.ZodType<Config>;
  /** Present where a GPU device can take its transform over. */
  readonly gpu?: GpuProgram<Loaded>;
  /** Outcomes this configuration can produce (ipsec without inbound SAs never opens); all of them where absent. */
  possible?(loaded: Loaded): readonly string[];
  /**
   * True where several threads may each run an instance of their own, as run-to-completion on several cores does: what becomes of a packet
   * depends on no other packet, and no file is written. Packets of a flow may or may not meet the same instance. Absent: never.
   */
  replicable?(loaded: Loaded): boolean;
  /** Keys of {@link Nf.stats} that count what an instance has done: of several instances they are added up. Other keys say the same in all. */
  readonly counted?: readonly string[];
  /** Indices of ports this configuration sends packets to (a router's routes): a file port used so is an output. */
  egressPorts?(loaded: Loaded): readonly number[];
  /**
   * Files an NF writes (alerts), so that `check` and `run` can refuse two NFs on one file, and experiments leave them alone: `load` takes
   * their paths from `context.resolve`.
   */
  outputs?(config: Config): readonly string[];
  /**
   * Control plane: reads and validates files; throws ConfigError with file and line. The result is posted to the worker, so it is
   * structured-clonable; big tables are typed arrays over SharedArrayBuffer, which are shared and not copied.
   */
  load(config: Config, context: LoadContext): Loaded | Promise<Loaded>;
  /** Data plane: in the thread that will call it. */
  create(loaded: Loaded, context: CreateContext): Nf;
}
