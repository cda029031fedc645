/**
 * Runs one NF's WGSL over slots of an arena on the first WebGPU adapter, by rounds.wgsl with copies there and back: the twin of
 * kernel-runner.ts.
 */

import koffi from "koffi";
import { PACKED, PackedRound } from "../../runtime/device/packing.js";
import { DUMMY, type QueueShape, ROW, ROW_HEADER } from "../../runtime/device/queue.js";
import { listAdapters, type OpenedGpu, openDevice, pickAdapter, scoped } from "../../runtime/device/webgpu/adapter.js";
import { prepareVulkan } from "../../runtime/device/webgpu/library.js";
import { compileShader, computePipeline, shaderSource } from "../../runtime/device/webgpu/program.js";
import { roundsBindings, roundsLayout, rowNumbers } from "../../runtime/device/webgpu/resources.js";
import { writeWords } from "../../runtime/device/webgpu/upload.js";
import { Arena, PARAM_WORDS, SLOT_SIZE } from "../../runtime/packet/arena.js";

/** Bindings 0 to 3 of kernels/common.wgsl. */
interface Buffers {
  readonly slots: GPUBuffer;
  readonly params: GPUBuffer;
  readonly rows: GPUBuffer;
  readonly tables: GPUBuffer;
  /** Slots, then params, for reading back. */
  readonly back: GPUBuffer;
}

export class WgslRunner {
  private readonly rows: Uint32Array;

  private constructor(
    private readonly opened: OpenedGpu,
    readonly arena: Arena,
    private readonly buffers: Buffers,
    private readonly pipelines: readonly GPUComputePipeline[],
    private readonly bindings: GPUBindGroup,
    private readonly size: number,
    private readonly packed: PackedRound | undefined,
  ) {
    this.rows = new Uint32Array(buffers.rows.size / 4);
  }

  /**
   * @param programs kernels; {@link run} runs the first unless told otherwise
   * @param options.folders where to look for .wgsl files before kernels/
   * @param options.packed what PLACEs name goes there and comes back, as on a device that copies; else all slots and params, whether
   * served or not
   */
  static async open(
    programs: readonly string[],
    tables: Uint32Array,
    slots: number,
    options: { size?: number; folders?: readonly string[]; packed?: boolean } = {},
  ): Promise<WgslRunner> {
    prepareVulkan();
    const size = options.size ?? 64;
    const shape: QueueShape = { workgroups: 1, workgroupSize: size, depth: 1 };
    const { folders, packed } = options;
    const constants = { WB_PACKED: packed ? PACKED : 0 };
    const sources = programs.map((_, program) =>
      shaderSource({ shape, programs, serves: [program], entry: "rounds", constants, ...(folders && { folders }) }),
    );
    const mostRows = Math.ceil(slots / size) + 1; // one more where the first column is not 0
    const arena = Arena.create(slots);
    const round = packed ? new PackedRound(arena, shape, mostRows, new Uint8Array(programs.length).fill(1)) : undefined;
    const slotBytes = round?.packetBytes ?? slots * SLOT_SIZE;
    const paramBytes = round?.paramBytes ?? slots * PARAM_WORDS * 4;
    const rowBytes = mostRows * (ROW_HEADER + size) * 4;
    const tableBytes = Math.max(tables.byteLength, 64);
    const opened = await openDevice(pickAdapter(await listAdapters()), {
      buffer: Math.max(slotBytes + paramBytes, tableBytes),
      workgroupSize: size,
      workgroupMemory: 2 ** 14,
      storageBuffers: 4,
    });
    const { device } = opened;
    const { STORAGE, COPY_DST, COPY_SRC, MAP_READ } = GPUBufferUsage;
    const buffers = await scoped(device, "buffers", (): Buffers => {
      const buffer = (bytes: number, usage: number) => device.createBuffer({ size: bytes, usage });
      return {
        slots: buffer(slotBytes, STORAGE | COPY_DST | COPY_SRC),
        params: buffer(paramBytes, STORAGE | COPY_DST | COPY_SRC),
        rows: buffer(rowBytes, STORAGE | COPY_DST),
        tables: buffer(tableBytes, STORAGE | COPY_DST),
        back: buffer(slotBytes + paramBytes, COPY_DST | MAP_READ),
      };
    });
    writeWords(device.queue, buffers.tables, 0, tables);
    const layout = await scoped(device, "the layout", () => roundsLayout(device));
    const pipelineLayout = device.createPipelineLayout({ bindGroupLayouts: [layout] });
    const pipelines = await Promise.all(
      sources.map((source) =>
        compileShader(device, source).then((module) => computePipeline(device, module, pipelineLayout, "rounds")),
      ),
    );
    const { slots: packets, params, rows, tables: tableBuffer } = buffers;
    const bindings = await scoped(device, "the bindings", () =>
      roundsBindings(device, layout, [packets, params, rows, tableBuffer], rowNumbers(device, 1)),
    );
    return new WgslRunner(opened, arena, buffers, pipelines, bindings, size, round);
  }

  /** Why there is nothing to run on, and the remedy; undefined where there is. */
  static async lack(): Promise<string | undefined> {
    prepareVulkan();
    try {
      pickAdapter(await listAdapters());
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  }

  /**
   * Serves slots[0, count), rows filled with dummies; `from` is the column the first packet goes to, `table` the word at which the NF's
   * tables begin, `program` the kernel's number.
   */
  async run(slots: Uint32Array, count: number, from = 0, table = 0, program = 0): Promise<void> {
    const { rows, size, arena, buffers } = this;
    const { device } = this.opened;
    const words = ROW_HEADER + size;
    const groups = Math.ceil((from + count) / size);
    for (let g = 0; g < groups; g++) {
      rows[g * words + ROW.PROGRAM] = program;
      rows[g * words + ROW.TABLE] = table;
      for (let t = 0; t < size; t++) {
        const i = g * size + t - from;
        rows[g * words + ROW_HEADER + t] = i >= 0 && i < count ? slots[i]! : DUMMY;
      }
    }
    if (groups === 0) return;
    const { packed } = this;
    const bytesAt = (at: number, bytes: number) => new Uint8Array(koffi.view(BigInt(at), bytes) as ArrayBuffer);
    let there = [
      arena.u8,
      new Uint8Array(arena.params.buffer, arena.params.byteOffset, arena.params.byteLength),
    ] as const;
    let sent: Uint8Array = new Uint8Array(rows.buffer);
    if (packed !== undefined) {
      packed.pack(
        rows,
        Uint32Array.from({ length: groups }, (_, g) => g * words),
        groups,
      );
      there = [bytesAt(packed.packetsAt, packed.packetBytes), bytesAt(packed.paramsAt, packed.paramBytes)];
      sent = bytesAt(packed.rowsAt, packed.rowBytes);
    }
    const [packets, params] = there;
    const { queue } = device;
    queue.writeBuffer(buffers.rows, 0, sent as Uint8Array<ArrayBuffer>);
    queue.writeBuffer(buffers.slots, 0, packets as Uint8Array<ArrayBuffer>);
    queue.writeBuffer(buffers.params, 0, params as Uint8Array<ArrayBuffer>);
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(this.pipelines[program]!);
    pass.setBindGroup(0, this.bindings, [0]);
    pass.dispatchWorkgroups(groups);
    pass.end();
    encoder.copyBufferToBuffer(buffers.slots, 0, buffers.back, 0, packets.length);
    encoder.copyBufferToBuffer(buffers.params, 0, buffers.back, packets.length, params.length);
    await scoped(device, "a round", () => queue.submit([encoder.finish()]));
    await buffers.back.mapAsync(GPUMapMode.READ);
    const bytes = new Uint8Array(buffers.back.getMappedRange());
    packets.set(bytes.subarray(0, packets.length));
    params.set(bytes.subarray(packets.length));
    buffers.back.unmap();
    packed?.unpack();
  }

  async close(): Promise<void> {
    const { device } = this.opened;
    device.destroy();
    await device.lost;
    this.packed?.free();
    this.arena.free();
  }
}
