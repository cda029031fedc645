/** One launch of a gpu.js kernel: packets to numbers, and the answers back to params. Launch per batch, with copies. */
import type { Arena } from "../../packet/arena.js";
import { DUMMY, PARAM_PLACE, type QueueShape, ROW, ROW_HEADER } from "../queue.js";
import type { CompiledKernel, GpuJs, LoadedKernel } from "./compile.js";
import { EXACT, type GpuJsProgram } from "./program.js";

/** Imported bindings are looked up at each use (V8 11, Node 20). */
const EMPTY = DUMMY;
const HEADER = ROW_HEADER;
const PLACE = PARAM_PLACE;
const LIMIT = EXACT;
const WORDS = 8;
const SLOT_SHIFT = 11;
/** In params[0] for an answer that is no whole number below 2^24. */
export const NO_ANSWER = 0xffff_ffff;
/** Strides packets are laid out with, each four times the one before. */
const SMALLEST_STRIDE = 64;

/** Ascending; the last one has room for every packet. Where a kernel may look behind the end of a packet, there is one. */
function stridesOf({ most, pads }: GpuJsProgram): number[] {
  if (most === 0) return [0];
  if (pads) return [most + 1];
  const strides: number[] = [];
  for (let stride = SMALLEST_STRIDE; stride < most; stride *= 4) strides.push(stride);
  return [...strides, most];
}

/** A kernel with its tables, compiled, and the arrays of its launches. */
export class Launch {
  /** Bytes of numbers that launches have taken there and back. */
  bytesCopied = 0;
  /** ms that took on this side of gpu.js. */
  copyMs = 0;
  private readonly kernel: LoadedKernel;
  private readonly entries: Float32Array;
  private readonly bytes = new Map<number, Float32Array>();
  private readonly slots: Uint32Array;
  private readonly width: number;
  private readonly strides: readonly number[];
  private count = 0;

  /**
   * @param threads of each launch, a multiple of the entries of a row
   * @throws RunError where it does not compile
   */
  constructor(
    gpu: GpuJs,
    private readonly program: GpuJsProgram,
    table: Uint32Array,
    private readonly arena: Arena,
    private readonly shape: QueueShape,
    readonly threads: number,
  ) {
    this.kernel = gpu.compile(program, program.constants(table), threads);
    this.width = 1 + 2 * program.words.length;
    this.entries = new Float32Array(threads * this.width);
    this.slots = new Uint32Array(threads);
    this.strides = stridesOf(program);
  }

  /**
   * Compiles for good, by launches without packets: one for each stride, since a kernel is compiled anew for each. What a mode takes as it
   * comes is waited for.
   */
  trial(): Promise<void> | undefined {
    return this.tryFrom(0);
  }

  private tryFrom(first: number): Promise<void> | undefined {
    const { entries, width, threads, strides } = this;
    for (let t = 0; t < threads; t++) entries[t * width] = -1;
    for (let i = first; i < strides.length; i++) {
      const answers = this.kernel.run(this.bytesFor(strides[i]!), entries, strides[i]!);
      if (answers instanceof Promise) return answers.then(() => this.tryFrom(i + 1));
    }
    return undefined;
  }

  /**
   * Launches for rows.
   * @param queue words of the queue
   * @param rows where each begins
   */
  run(queue: Uint32Array, rows: readonly number[]): ReturnType<CompiledKernel> {
    const since = performance.now();
    const stride = this.strideFor(this.gather(queue, rows));
    const bytes = this.bytesFor(stride);
    if (this.program.most > 0) this.copyBytes(bytes, stride);
    this.copyMs += performance.now() - since;
    this.bytesCopied += 4 * (bytes.length + this.entries.length + this.threads);
    return this.kernel.run(bytes, this.entries, stride);
  }

  /** @returns bytes of the longest packet that the kernel looks at */
  private gather(queue: Uint32Array, rows: readonly number[]): number {
    const { entries, slots, width, threads, arena } = this;
    const { workgroupSize } = this.shape;
    const { most, words } = this.program;
    const { params } = arena;
    let t = 0;
    let longest = 0;
    for (let r = 0; r < rows.length; r++) {
      const row = rows[r]! + HEADER;
      for (let e = 0; e < workgroupSize; e++, t++) {
        const slot = queue[row + e]!;
        slots[t] = slot;
        const entry = t * width;
        if (slot === EMPTY) {
          entries[entry] = -1;
          continue;
        }
        const at = slot * WORDS;
        let length = params[at + PLACE]! >>> 16;
        if (length > most) length = most;
        if (length > longest) longest = length;
        entries[entry] = length;
        for (let k = 0; k < words.length; k++) {
          const word = params[at + words[k]!]!;
          entries[entry + 1 + 2 * k] = word >>> 16;
          entries[entry + 2 + 2 * k] = word & 0xffff;
        }
      }
    }
    this.count = t;
    for (; t < threads; t++) entries[t * width] = -1;
    return longest;
  }

  private copyBytes(bytes: Float32Array, stride: number): void {
    const { slots, entries, width, count } = this;
    const { u8, params } = this.arena;
    const pads = this.program.pads === true;
    for (let t = 0; t < count; t++) {
      const slot = slots[t]!;
      if (slot === EMPTY) continue;
      const from = (slot << SLOT_SHIFT) + (params[slot * WORDS + PLACE]! & 0xffff);
      const length = entries[t * width]!;
      const to = t * stride;
      for (let i = 0; i < length; i++) bytes[to + i] = u8[from + i]!;
      if (!pads) continue;
      for (let i = length; i < stride - 1; i++) bytes[to + i] = 0;
      // What a kernel reads that is not there is no number, as in JavaScript.
      bytes[to + stride - 1] = Number.NaN;
    }
  }

  private strideFor(longest: number): number {
    const { strides } = this;
    let i = 0;
    while (strides[i]! < longest && i + 1 < strides.length) i++;
    return strides[i]!;
  }

  private bytesFor(stride: number): Float32Array {
    let bytes = this.bytes.get(stride);
    if (bytes === undefined) {
      bytes = new Float32Array(Math.max(1, stride * this.threads));
      this.bytes.set(stride, bytes);
    }
    return bytes;
  }

  /** Answers to params. */
  collect(answers: Float32Array): void {
    const since = performance.now();
    const { slots, count } = this;
    const { params } = this.arena;
    for (let t = 0; t < count; t++) {
      const slot = slots[t]!;
      if (slot === EMPTY) continue;
      const answer = answers[t]!;
      params[slot * WORDS] = answer >= 0 && answer < LIMIT && Math.floor(answer) === answer ? answer : NO_ANSWER;
    }
    this.copyMs += performance.now() - since;
  }

  free(): void {
    this.kernel.free();
  }
}

/** What says which kernel, with which tables, a row is for. */
export function programOf(queue: Uint32Array, row: number): number {
  return queue[row + ROW.PROGRAM]!;
}
export function tableOf(queue: Uint32Array, row: number): number {
  return queue[row + ROW.TABLE]!;
}
