/**
 * A kernel launched for each set of rows, over memory that host and device share: the same kernel functions as the persistent kernel's,
 * and nothing that stays on the device between two launches. What the persistent kernel is compared with, and what kernels are measured
 * by themselves with.
 */
import { OpenClContext } from "../../runtime/device/opencl/context.js";
import { CL, check, create, type Handle, openCl } from "../../runtime/device/opencl/library.js";
import { DUMMY, type QueueShape, ROW, ROW_HEADER, rowWords } from "../../runtime/device/queue.js";
import { Arena, arenaBytes } from "../../runtime/packet/arena.js";
import { attachRegion } from "../../runtime/packet/memory.js";
import { BENCH_KERNELS, benchDevice, SIZE } from "./bed.js";

const SHAPE: QueueShape = { workgroups: 1, workgroupSize: SIZE, depth: 1 };

export class Launcher {
  /** Slots in shared memory. */
  readonly arena: Arena;
  private readonly context: OpenClContext;
  /** Says when a kernel began and ended; the context's own queue does not, and launches may cost less there. */
  private readonly profiled: Handle;
  private readonly kernel: Handle;
  private readonly rows: Uint32Array;
  private readonly global = new BigUint64Array(1);
  private readonly local = BigUint64Array.of(BigInt(SIZE));
  private readonly event = new BigUint64Array(1);
  private readonly time = new BigUint64Array(1);

  /**
   * @param program the only kernel
   * @param rows of a launch at most
   */
  constructor(program: string, tables: Uint32Array, slots: number, rows: number) {
    this.context = new OpenClContext(openCl(), benchDevice());
    const { context } = this;
    const options = { shape: SHAPE, programs: [program], entry: "rounds", folders: [BENCH_KERNELS] };
    this.kernel = context.kernel("rounds", options, false);
    const properties = BigUint64Array.of(CL.QUEUE_PROPERTIES, CL.QUEUE_PROFILING_ENABLE, 0n);
    const name = "clCreateCommandQueueWithProperties";
    this.profiled = create(context.cl.createQueue, name, context.context, context.found.handle, properties);
    const region = context.shared(arenaBytes(slots), "the arena", true);
    this.arena = Arena.attach({ slots, region, owned: false });
    const rowRegion = context.shared(4 * rows * rowWords(SHAPE), "rows", true);
    this.rows = new Uint32Array(attachRegion(rowRegion).buffer, 0, rows * rowWords(SHAPE));
    const tableRegion = context.shared(Math.max(64, tables.byteLength), "the tables", true);
    new Uint32Array(attachRegion(tableRegion).buffer).set(tables);
    const { params } = this.arena;
    context.setShared(this.kernel, [
      region.address,
      region.address + params.byteOffset,
      rowRegion.address,
      tableRegion.address,
    ]);
  }

  /** Writes rows of slots[0, count), the last one filled with dummies; returns how many. */
  write(slots: Uint32Array, count: number): number {
    const { rows } = this;
    const words = rowWords(SHAPE);
    const needed = Math.ceil(count / SIZE);
    for (let r = 0; r < needed; r++) {
      const row = r * words;
      rows[row + ROW.PROGRAM] = 0;
      rows[row + ROW.COUNT] = Math.min(SIZE, count - r * SIZE);
      rows[row + ROW.TABLE] = 0;
      const entries = row + ROW_HEADER;
      for (let t = 0; t < SIZE; t++) {
        const i = r * SIZE + t;
        rows[entries + t] = i < count ? slots[i]! : DUMMY;
      }
    }
    return needed;
  }

  /** Launches over the rows written, one workgroup for each, and waits until they are served. */
  launch(rows: number): void {
    const { cl, queue } = this.context;
    this.global[0] = BigInt(rows * SIZE);
    const status = cl.enqueueKernel(queue, this.kernel, 1, null, this.global, this.local, 0, null, null);
    check(status as number, "clEnqueueNDRangeKernel");
    check(cl.finish(queue) as number, "clFinish");
  }

  /** As {@link launch}; returns ns the kernel took by the device's own clock, from its first instruction to its last. */
  timed(rows: number): number {
    const { cl } = this.context;
    const { profiled: queue, event } = this;
    this.global[0] = BigInt(rows * SIZE);
    const status = cl.enqueueKernel(queue, this.kernel, 1, null, this.global, this.local, 0, null, event);
    check(status as number, "clEnqueueNDRangeKernel");
    check(cl.finish(queue) as number, "clFinish");
    const at = (what: number): bigint => {
      check(cl.getEventProfile(event[0]!, what, 8, this.time, null) as number, "clGetEventProfilingInfo");
      return this.time[0]!;
    };
    const ns = Number(at(CL.PROFILING_COMMAND_END) - at(CL.PROFILING_COMMAND_START));
    check(cl.releaseEvent(event[0]!) as number, "clReleaseEvent");
    return ns;
  }

  close(): void {
    check(this.context.cl.releaseQueue(this.profiled) as number, "clReleaseCommandQueue");
    this.context.close();
  }
}
