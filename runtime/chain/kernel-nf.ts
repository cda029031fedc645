/**
 * An NF given as one plain function of packet bytes (kernelNf of wingbeat/nf): on the CPU it is called for each packet, on a gpujs device
 * it is compiled. Both see the same bytes and answer with one number, outcome + 32 * value; what the value does to the packet a second
 * function decides, on the CPU, in arrival order.
 */
import type { z } from "zod";
import { PARAM_PLACE } from "../device/queue.js";
import { type Arena, FLAG, PARAM_WORDS, SLOT_SHIFT } from "../packet/arena.js";
import type { Batch } from "../packet/batch.js";
import { kernelText } from "./kernel-text.js";
import type { CreateContext, Nf, NfModule, Offload, OutcomeSpec } from "./nf.js";
import { UserProblem } from "./user-source.js";

const OUTCOMES = 32;
const MOST_BYTES = 1536;
const MOST_PARAMETERS = 8;
/** Whole numbers below this are exact in f32. */
const EXACT = 2 ** 24;
const STARTS = ["frame", "l3", "l4", "payload"] as const;
const KEYS = ["type", "outcomes", "schema", "from", "bytes", "parameters", "kernel", "finish", "possible"];

export interface KernelSpec<Config> {
  readonly type: string;
  readonly outcomes: readonly OutcomeSpec[];
  readonly schema?: z.ZodType<Config>;
  possible?(loaded: readonly number[]): readonly string[];
  /**
   * Where the bytes begin that the kernel sees: `frame` at the Ethernet header; `l3` (default) at the IP header; `l4` behind it and IPv6
   * extension headers; `payload` behind the L4 header. A packet without (not IP; a fragment, for `payload`) has length 0.
   */
  readonly from?: "frame" | "l3" | "l4" | "payload";
  /** How many of them at most, 1 to 1536. Each is copied to the device as a number: ask for no more than it takes. */
  readonly bytes: number;
  /** What the kernel gets of the configuration: up to 8 whole numbers, 0 to 2^24 - 1. */
  parameters?(config: Config): readonly number[];
  /**
   * Of one packet: its bytes, 0 from `length` on; how many there are; the parameters. Answers outcome + 32 * value, a whole number below 2^24.
   * It sees nothing else: not its module, not the packet before. Numbers have to be whole and below 2^24 at every step, or a device
   * computes something else than the CPU.
   */
  kernel(packet: ArrayLike<number>, length: number, ...parameters: number[]): number;
  /** Applies `value`, 0 to 2^19 - 1, to the packet, or to state of the module's own; in arrival order, for every packet. */
  finish?(arena: Arena, slot: number, value: number, outcome: number): void;
}

/** What the module's device part keeps of its function, for messages. */
export interface PlainKernel {
  readonly source: KernelSpec<unknown>["kernel"];
}

/** @throws UserProblem where the specification or the function is not what it should be */
export function kernelNf<Config = unknown>(
  spec: KernelSpec<Config>,
): Omit<NfModule<Config, readonly number[]>, "schema"> {
  const problem = (text: string) => new UserProblem(text, spec?.kernel, 0);
  if (spec === null || typeof spec !== "object") throw problem("kernelNf() takes an object");
  const unknown = Object.keys(spec).find((key) => !KEYS.includes(key));
  if (unknown !== undefined) throw problem(`unknown key "${unknown}"; known keys: ${KEYS.join(", ")}`);
  const { type, outcomes, schema, possible, bytes, from = "l3", kernel } = spec;
  if (typeof kernel !== "function")
    throw problem("kernel is missing, expected a function (packet, length, ...parameters)");
  if (!Number.isInteger(bytes) || bytes < 1 || bytes > MOST_BYTES) {
    throw problem(`bytes: found ${bytes}, expected a whole number of 1 to ${MOST_BYTES}`);
  }
  if (!STARTS.includes(from)) throw problem(`from: found ${from}, expected ${STARTS.join(", ")}`);
  for (const key of ["parameters", "finish"] as const) {
    if (!["function", "undefined"].includes(typeof spec[key])) throw problem(`${key}: expected a function`);
  }
  const { text, parameters } = kernelText(kernel, bytes);
  if (parameters > MOST_PARAMETERS)
    throw problem(`the kernel has ${parameters} parameters, expected at most ${MOST_PARAMETERS}`);
  return {
    type,
    outcomes,
    ...(schema && { schema }),
    ...(possible && { possible }),
    load(config: Config) {
      const numbers = spec.parameters?.(config) ?? [];
      const fits = Array.isArray(numbers) && numbers.length === parameters && numbers.every(isExact);
      if (fits) return numbers;
      const found = Array.isArray(numbers) ? `[${numbers.join(", ")}]` : typeof numbers;
      const text = `parameters() returned ${found}; the kernel takes ${parameters}, whole numbers of 0 to ${EXACT - 1}`;
      throw new UserProblem(text, spec.parameters ?? kernel, 0);
    },
    create: (loaded: readonly number[], { arena, place }: CreateContext) =>
      create(spec, loaded, arena, place === "gpu"),
    gpu: {
      program: type,
      writes: "params",
      tables: (loaded: readonly number[]) => Uint32Array.from(loaded),
      plain: {
        source: kernel,
        kernel: text,
        most: bytes,
        pads: true,
        words: [],
        constants: (table: Uint32Array) => {
          const numbers = Float32Array.from(table.subarray(0, parameters));
          return {
            parameters:
              numbers.length > 0 && numbers.length === parameters ? numbers : new Float32Array(Math.max(1, parameters)),
          };
        },
      },
    },
  };
}

function isExact(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < EXACT;
}

type Spec = Pick<KernelSpec<never>, "outcomes" | "from" | "bytes" | "kernel" | "finish">;

function create(spec: Spec, parameters: readonly number[], arena: Arena, gpu: boolean): Nf {
  const work = new KernelWork(spec, parameters, arena);
  return {
    engine: gpu ? "plain function, gpu.js" : "plain function",
    process: (batch) => work.process(batch),
    ...(gpu && { offload: work }),
  };
}

class KernelWork implements Offload {
  private readonly packet: Uint8Array;
  private readonly call: (packet: Uint8Array, length: number) => number;
  /** First byte and bytes of the packet at hand, as the kernel sees it. */
  private first = 0;
  private length = 0;

  constructor(
    private readonly spec: Spec,
    parameters: readonly number[],
    private readonly arena: Arena,
  ) {
    this.packet = new Uint8Array(spec.bytes);
    const { kernel } = spec;
    const [a, b, c, d, e, f, g, h] = parameters as [number, number, number, number, number, number, number, number];
    // What it does not take it does not see; a spread would cost more than most kernels.
    this.call = (packet, length) => kernel(packet, length, a, b, c, d, e, f, g, h);
  }

  process(batch: Batch): void {
    const { slots, outcomes, count } = batch;
    const { u8 } = this.arena;
    const { packet, call } = this;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      this.find(slot);
      const { length } = this;
      const from = (slot << SLOT_SHIFT) + this.first;
      for (let k = 0; k < length; k++) packet[k] = u8[from + k]!;
      if (length < packet.length) packet.fill(0, length);
      outcomes[i] = this.conclude(slot, call(packet, length));
    }
  }

  prepare(batch: Batch, wanted: Uint8Array): number {
    const { slots, outcomes, count } = batch;
    const { params } = this.arena;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      this.find(slot);
      params[slot * PARAM_WORDS] = EXACT;
      params[slot * PARAM_WORDS + PARAM_PLACE] = this.first | (this.length << 16);
      outcomes[i] = 0;
      wanted[i] = 1;
    }
    return count;
  }

  finish(batch: Batch): void {
    const { slots, outcomes, count } = batch;
    const { params } = this.arena;
    for (let i = 0; i < count; i++) outcomes[i] = this.conclude(slots[i]!, params[slots[i]! * PARAM_WORDS]!);
  }

  /** Where the bytes lie that the kernel sees; `first` counts from the start of the slot. */
  private find(slot: number): void {
    const { arena, spec } = this;
    const from = spec.from ?? "l3";
    const flags = arena.flags[slot]!;
    let first = arena.off[slot]!;
    let end = first + arena.len[slot]!;
    if (from !== "frame") {
      const isThere = (flags & (from === "payload" ? FLAG.L4 : FLAG.IPV4 | FLAG.IPV6)) !== 0;
      first = from === "l3" ? arena.l3[slot]! : from === "l4" ? arena.l4[slot]! : arena.payload[slot]!;
      end = from === "payload" ? arena.payloadEnd[slot]! : arena.l3end[slot]!;
      if (!isThere) first = end = arena.off[slot]!;
    }
    this.first = first;
    this.length = Math.min(spec.bytes, end - first);
  }

  private conclude(slot: number, answer: number): number {
    const { spec, arena } = this;
    if (!(answer >= 0 && answer < EXACT && Math.floor(answer) === answer))
      throw this.wrong(answer, "no whole number of 0 to 2^24 - 1");
    const outcome = answer % OUTCOMES;
    const value = (answer - outcome) / OUTCOMES;
    if (outcome >= spec.outcomes.length) {
      throw this.wrong(answer, `outcome ${outcome}; outcomes are 0 to ${spec.outcomes.length - 1}`);
    }
    if (spec.finish !== undefined) spec.finish(arena, slot, value, outcome);
    else if (value !== 0)
      throw this.wrong(answer, `outcome ${outcome} and value ${value}, and there is no finish() to apply it`);
    return outcome;
  }

  private wrong(answer: number, why: string): UserProblem {
    const found = answer > EXACT ? "" : ` ${answer},`;
    return new UserProblem(`the kernel answered${found} ${why}`, this.spec.kernel, 0);
  }
}
