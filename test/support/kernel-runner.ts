/**
 * Runs one NF's kernel over slots of an arena on the first OpenCL device, by rounds.cl over SVM: what conformance tests and
 * kernel-only measurements need, without queues or threads.
 */
import { CL, check, create, type Handle, handles, type OpenCl, openCl } from "../../runtime/device/opencl/library.js";
import { buildProgram, programSource } from "../../runtime/device/opencl/program.js";
import { DUMMY, type QueueShape, ROW, ROW_HEADER } from "../../runtime/device/queue.js";
import { Arena, arenaBytes } from "../../runtime/packet/arena.js";
import { attachRegion } from "../../runtime/packet/memory.js";

const SVM_FLAGS = CL.MEM_READ_WRITE | CL.MEM_SVM_FINE_GRAIN_BUFFER | CL.MEM_SVM_ATOMICS;
const PAGE = 4096;

export class KernelRunner {
  /** Slots in SVM. */
  readonly arena: Arena;
  private readonly rows: Uint32Array;
  private readonly allocated: Handle[] = [];

  private constructor(
    private readonly cl: OpenCl,
    private readonly context: Handle,
    private readonly queue: Handle,
    private readonly program: Handle,
    private readonly kernel: Handle,
    private readonly size: number,
    slots: number,
    tables: Uint32Array,
  ) {
    const bytes = arenaBytes(slots);
    const memory = this.allocate(bytes);
    const region = { address: memory, size: bytes, hugePages: false };
    new Uint8Array(attachRegion(region).buffer).fill(0); // as fresh pages are; clSVMAlloc promises nothing
    this.arena = Arena.attach({ slots, region, owned: false });
    const rowBytes = (Math.ceil(slots / size) + 1) * (ROW_HEADER + size) * 4; // one more where the first column is not 0
    const rowsAt = this.allocate(rowBytes);
    this.rows = new Uint32Array(attachRegion({ address: rowsAt, size: rowBytes, hugePages: false }).buffer);
    const tablesAt = this.allocate(Math.max(tables.byteLength, 64));
    new Uint32Array(
      attachRegion({ address: tablesAt, size: Math.max(tables.byteLength, 64), hugePages: false }).buffer,
    ).set(tables);
    const pointers = [memory, memory + this.arena.params.byteOffset, rowsAt, tablesAt];
    for (const [i, pointer] of pointers.entries()) {
      check(cl.setKernelArgSvm(kernel, i, BigInt(pointer)) as number, "clSetKernelArgSVMPointer");
    }
  }

  /**
   * @param programs kernels; the first is the one {@link run} runs
   * @param folders where to look for .cl files before kernels/
   */
  static open(
    programs: readonly string[],
    tables: Uint32Array,
    slots: number,
    options: { size?: number; folders?: readonly string[] } = {},
  ): KernelRunner {
    const cl = openCl();
    const platforms = handles((n, out, found) => cl.getPlatformIDs(n, out, found));
    const devices = platforms.flatMap((p) =>
      handles((n, out, found) => cl.getDeviceIDs(p, BigInt(CL.DEVICE_TYPE_ALL), n, out, found)),
    );
    const device = devices[0];
    if (device === undefined) throw new Error("no OpenCL device");
    const context = create(cl.createContext, "clCreateContext", null, 1, BigUint64Array.of(device), null, null);
    const queue = create(cl.createQueue, "clCreateCommandQueueWithProperties", context, device, null);
    const size = options.size ?? 64;
    const shape: QueueShape = { workgroups: 1, workgroupSize: size, depth: 1 };
    const source = programSource({
      shape,
      programs,
      entry: "rounds",
      ...(options.folders && { folders: options.folders }),
    });
    const program = buildProgram(cl, context, device, source, false);
    const kernel = create(cl.createKernel, "clCreateKernel", program, "rounds");
    return new KernelRunner(cl, context, queue, program, kernel, size, slots, tables);
  }

  private allocate(bytes: number): number {
    const address = this.cl.svmAlloc(this.context, SVM_FLAGS, bytes + PAGE, 0) as Handle | null;
    if (address === null) throw new Error(`clSVMAlloc(${bytes}) failed`);
    this.allocated.push(address);
    return Math.ceil(Number(address) / PAGE) * PAGE;
  }

  /**
   * Serves slots[0, count), rows filled with dummies; `from` is the column the first packet goes to, `table` the word at which the NF's
   * tables begin.
   */
  run(slots: Uint32Array, count: number, from = 0, table = 0): void {
    const { cl, rows, size } = this;
    const words = ROW_HEADER + size;
    const groups = Math.ceil((from + count) / size);
    for (let g = 0; g < groups; g++) {
      rows[g * words + ROW.PROGRAM] = 0;
      rows[g * words + ROW.TABLE] = table;
      for (let t = 0; t < size; t++) {
        const i = g * size + t - from;
        rows[g * words + ROW_HEADER + t] = i >= 0 && i < count ? slots[i]! : DUMMY;
      }
    }
    const global = BigUint64Array.of(BigInt(groups * size));
    const local = BigUint64Array.of(BigInt(size));
    check(cl.enqueueKernel(this.queue, this.kernel, 1, null, global, local, 0, null, null), "clEnqueueNDRangeKernel");
    check(cl.finish(this.queue), "clFinish");
  }

  close(): void {
    const { cl } = this;
    for (const address of this.allocated) cl.svmFree(this.context, address);
    cl.releaseKernel(this.kernel);
    cl.releaseProgram(this.program);
    cl.releaseQueue(this.queue);
    cl.releaseContext(this.context);
  }
}
