/**
 * A kernel in WGSL by itself: dispatches over rows of slots that lie on the device, waited for one submit after the other. Nothing of the
 * product's rounds but the shader: no queue, no copies in the timed part. The twin of launcher.ts.
 */
import { setImmediate } from "node:timers/promises";
import { DUMMY, type QueueShape, ROW, ROW_HEADER, rowWords } from "../../runtime/device/queue.js";
import { listAdapters, openDevice, pickAdapter, scoped } from "../../runtime/device/webgpu/adapter.js";
import { prepareVulkan } from "../../runtime/device/webgpu/library.js";
import { compileShader, computePipeline, shaderSource, workgroupBytes } from "../../runtime/device/webgpu/program.js";
import { roundsLayout } from "../../runtime/device/webgpu/resources.js";
import { writeWords } from "../../runtime/device/webgpu/upload.js";
import { Arena, PARAM_WORDS, SLOT_SIZE } from "../../runtime/packet/arena.js";
import { BENCH_KERNELS, SIZE } from "./bed.js";
import { nowNs } from "./counts.js";

const SHAPE: QueueShape = { workgroups: 1, workgroupSize: SIZE, depth: 1 };
/** WebGPU binds no buffer of less; bytes. */
const LEAST_BYTES = 64;
/** ns after which what a submit takes is slept through: a thread that looks all the time takes a core from an emulated device. */
const EAGER = 200_000;
const NAP_MS = 0.05;
const sleeping = new Int32Array(new SharedArrayBuffer(4));

/** Packets and params, as the host has written them and as the kernel works on them. */
interface Buffers {
  readonly slots: GPUBuffer;
  readonly params: GPUBuffer;
  readonly freshSlots: GPUBuffer;
  readonly freshParams: GPUBuffer;
  readonly rows: GPUBuffer;
  readonly tables: GPUBuffer;
  readonly back: GPUBuffer;
}

export class WgslLauncher {
  private constructor(
    private readonly device: GPUDevice,
    readonly arena: Arena,
    private readonly buffers: Buffers,
    private readonly pipeline: GPUComputePipeline,
    private readonly bindings: GPUBindGroup,
  ) {}

  /**
   * @param program the only kernel
   * @param slots of the arena
   * @param rows of a dispatch at most
   */
  static async open(program: string, tables: Uint32Array, slots: number, rows: number): Promise<WgslLauncher> {
    prepareVulkan();
    const source = shaderSource({ shape: SHAPE, programs: [program], entry: "rounds", folders: [BENCH_KERNELS] });
    const slotBytes = slots * SLOT_SIZE;
    const paramBytes = slots * PARAM_WORDS * 4;
    const tableBytes = Math.max(LEAST_BYTES, tables.byteLength);
    const { device } = await openDevice(pickAdapter(await listAdapters()), {
      buffer: Math.max(slotBytes + paramBytes, tableBytes),
      workgroupSize: SIZE,
      workgroupMemory: workgroupBytes(source),
      storageBuffers: 4,
    });
    const { STORAGE, COPY_DST, COPY_SRC, MAP_READ } = GPUBufferUsage;
    const buffers = await scoped(device, "buffers", (): Buffers => {
      const buffer = (size: number, usage: number) => device.createBuffer({ size, usage });
      return {
        slots: buffer(slotBytes, STORAGE | COPY_DST | COPY_SRC),
        params: buffer(paramBytes, STORAGE | COPY_DST | COPY_SRC),
        freshSlots: buffer(slotBytes, COPY_DST | COPY_SRC),
        freshParams: buffer(paramBytes, COPY_DST | COPY_SRC),
        rows: buffer(4 * rows * rowWords(SHAPE), STORAGE | COPY_DST),
        tables: buffer(tableBytes, STORAGE | COPY_DST),
        back: buffer(slotBytes + paramBytes, COPY_DST | MAP_READ),
      };
    });
    writeWords(device.queue, buffers.tables, 0, tables);
    const module = await compileShader(device, source);
    const layout = await scoped(device, "the layout", () => roundsLayout(device));
    const pipelineLayout = device.createPipelineLayout({ bindGroupLayouts: [layout] });
    const pipeline = await computePipeline(device, module, pipelineLayout, "rounds");
    const entries = [buffers.slots, buffers.params, buffers.rows, buffers.tables].map((buffer, binding) => ({
      binding,
      resource: { buffer },
    }));
    const bindings = await scoped(device, "the bindings", () => device.createBindGroup({ layout, entries }));
    return new WgslLauncher(device, Arena.create(slots), buffers, pipeline, bindings);
  }

  /** The arena's packets and params to the device, to be worked on again and again; and rows of slots[0, count), dummies behind them. */
  write(slots: Uint32Array, count: number): number {
    const { arena, buffers, device } = this;
    const words = rowWords(SHAPE);
    const needed = Math.ceil(count / SIZE);
    const rows = new Uint32Array(needed * words);
    for (let r = 0; r < needed; r++) {
      rows[r * words + ROW.COUNT] = Math.min(SIZE, count - r * SIZE);
      for (let t = 0; t < SIZE; t++) {
        const i = r * SIZE + t;
        rows[r * words + ROW_HEADER + t] = i < count ? slots[i]! : DUMMY;
      }
    }
    const { params } = arena;
    writeWords(device.queue, buffers.rows, 0, rows);
    writeWords(device.queue, buffers.freshSlots, 0, arena.u32.subarray(0, arena.slots * (SLOT_SIZE / 4)));
    writeWords(device.queue, buffers.freshParams, 0, params);
    return needed;
  }

  /** Packets and params as {@link write} has brought them; waited for. */
  async restore(): Promise<void> {
    const { freshSlots, freshParams, slots, params } = this.buffers;
    const encoder = this.device.createCommandEncoder();
    encoder.copyBufferToBuffer(freshSlots, 0, slots, 0, slots.size);
    encoder.copyBufferToBuffer(freshParams, 0, params, 0, params.size);
    this.device.queue.submit([encoder.finish()]);
    await this.done();
  }

  /**
   * One submit of so many dispatches over the first `rows` rows.
   * @returns ns from before it is handed over to when it is known to be done
   */
  async launch(rows: number, dispatches = 1): Promise<number> {
    const { device, pipeline, bindings } = this;
    const start = nowNs();
    const encoder = device.createCommandEncoder();
    for (let i = 0; i < dispatches; i++) {
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindings);
      pass.dispatchWorkgroups(rows);
      pass.end();
    }
    device.queue.submit([encoder.finish()]);
    await this.done();
    return nowNs() - start;
  }

  private async done(): Promise<void> {
    let over = false;
    const since = nowNs();
    void this.device.queue.onSubmittedWorkDone().then(() => {
      over = true;
    });
    while (!over) {
      if (nowNs() - since > EAGER) Atomics.wait(sleeping, 0, 0, NAP_MS);
      await setImmediate();
    }
  }

  /** What the kernel has made of packets and params, to the arena. */
  async read(): Promise<void> {
    const { arena, buffers, device } = this;
    const { slots, params, back } = buffers;
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(slots, 0, back, 0, slots.size);
    encoder.copyBufferToBuffer(params, 0, back, slots.size, params.size);
    device.queue.submit([encoder.finish()]);
    await back.mapAsync(GPUMapMode.READ);
    const words = new Uint32Array(back.getMappedRange());
    arena.u32.set(words.subarray(0, slots.size / 4));
    arena.params.set(words.subarray(slots.size / 4));
    back.unmap();
  }

  async close(): Promise<void> {
    this.device.destroy();
    await this.device.lost;
    this.arena.free();
  }
}
