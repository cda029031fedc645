/** An OpenCL device that has been opened: context, command queue, built programs, memory; and all of it released again. */
import { RunError } from "../../errors.js";
import { adviseHugePagesAt, attachRegion, type RegionHandle } from "../../packet/memory.js";
import type { DeviceInfo } from "../device.js";
import { CL, check, create, type Handle, infoNumber, type OpenCl } from "./library.js";
import { type FoundDevice, isPocl, traitsOf } from "./platform.js";
import { buildProgram, type ProgramOptions, programSource } from "./program.js";

const SVM_FLAGS = CL.MEM_READ_WRITE | CL.MEM_SVM_FINE_GRAIN_BUFFER | CL.MEM_SVM_ATOMICS;
/** AF_XDP wants the arena at a page, huge pages begin at their size; clSVMAlloc promises neither. */
const PAGE = 4096;
const HUGE_PAGE = 2 * 1024 * 1024;

export class OpenClContext {
  readonly context: Handle;
  readonly queue: Handle;
  private readonly svm: Handle[] = [];
  private readonly buffers: Handle[] = [];
  private readonly programs: Handle[] = [];
  private readonly kernels: Handle[] = [];

  constructor(
    readonly cl: OpenCl,
    readonly found: FoundDevice,
  ) {
    const devices = BigUint64Array.of(found.handle);
    this.context = create(cl.createContext, "clCreateContext", null, 1, devices, null, null);
    this.queue = create(cl.createQueue, "clCreateCommandQueueWithProperties", this.context, found.handle, null);
  }

  info(persistent: boolean): DeviceInfo {
    const { device } = this.found;
    return {
      kind: "opencl",
      name: device.name,
      emulated: traitsOf(device).emulated,
      persistent,
      zeroCopy: persistent,
    };
  }

  /** True where PoCL runs work-items on this machine's x86-64 processor, under Linux. */
  get isPoclHere(): boolean {
    const { device } = this.found;
    const cpu = (device.type & CL.DEVICE_TYPE_CPU) !== 0;
    const here = process.platform === "linux" && process.arch === "x64";
    return cpu && here && isPocl(device);
  }

  /** @throws RunError where a kernel's file is missing or does not compile, or its workgroups do not fit on the device */
  kernel(name: string, options: ProgramOptions, atomics: boolean): Handle {
    const { cl, context, found } = this;
    const program = buildProgram(cl, context, found.handle, programSource(options), atomics);
    this.programs.push(program);
    const kernel = create(cl.createKernel, "clCreateKernel", program, name);
    this.kernels.push(kernel);
    const ask = ((object: Handle, ...rest: unknown[]) =>
      cl.getKernelWorkGroupInfo(object, found.handle, ...rest)) as OpenCl["getKernelWorkGroupInfo"];
    const most = infoNumber(ask, kernel, CL.KERNEL_WORK_GROUP_SIZE);
    const size = options.shape.workgroupSize;
    if (most > 0 && most < size) {
      const why = `these kernels run in workgroups of at most ${most} threads on ${found.device.name}, not ${size}`;
      throw new RunError("opencl", why, "use smaller workgroups, or another --device");
    }
    return kernel;
  }

  /**
   * Memory that the host and a running kernel share: fine-grain SVM with atomics, from the start of a page to its end.
   * @param zero fill it with zeros; else nothing is known of its contents
   * @throws RunError where the device has not so much
   */
  shared(bytes: number, what: string, zero: boolean): RegionHandle {
    const align = bytes >= HUGE_PAGE ? HUGE_PAGE : PAGE;
    const size = Math.ceil(bytes / PAGE) * PAGE;
    const pointer = this.cl.svmAlloc(this.context, SVM_FLAGS, size + align, 0) as Handle | null;
    if (pointer === null || pointer === 0n) throw this.outOfMemory(bytes, what);
    this.svm.push(pointer);
    const address = Math.ceil(Number(pointer) / align) * align;
    adviseHugePagesAt(BigInt(address), size);
    const region = { address, size, hugePages: false };
    if (zero) new Uint8Array(attachRegion(region).buffer).fill(0);
    return region;
  }

  /** Memory of the device. */
  buffer(bytes: number, what: string): Handle {
    const status = new Int32Array(1);
    const { createBuffer } = this.cl;
    const buffer = createBuffer(this.context, CL.MEM_READ_WRITE, bytes, null, status) as Handle | null;
    if (buffer === null || status[0] !== 0) throw this.outOfMemory(bytes, what);
    this.buffers.push(buffer);
    return buffer;
  }

  private outOfMemory(bytes: number, what: string): RunError {
    const { name, maxAllocBytes } = this.found.device;
    const problem = `${name} has no ${Math.ceil(bytes / 1e6)} MB for ${what}; it allocates ${Math.floor(maxAllocBytes / 1e6)} MB at once`;
    return new RunError("opencl", problem, "use smaller tables or fewer workgroups, or --device none");
  }

  /** Arguments 0, 1, ... of a kernel: shared memory by address. */
  setShared(kernel: Handle, addresses: readonly number[]): void {
    for (const [i, address] of addresses.entries()) {
      check(this.cl.setKernelArgSvm(kernel, i, BigInt(address)) as number, "clSetKernelArgSVMPointer");
    }
  }

  setBuffers(kernel: Handle, buffers: readonly Handle[]): void {
    for (const [i, buffer] of buffers.entries()) {
      check(this.cl.setKernelArg(kernel, i, 8, BigUint64Array.of(buffer)) as number, "clSetKernelArg");
    }
  }

  /** State of a command: 3 queued, 2 submitted, 1 running, 0 complete, below 0 an error. */
  status(event: Handle): number {
    const out = this.statusOut;
    check(this.cl.getEventInfo(event, CL.EVENT_COMMAND_EXECUTION_STATUS, 4, out, null) as number, "clGetEventInfo");
    return out[0]!;
  }
  private readonly statusOut = new Int32Array(1);

  /** Releases everything; nothing may run on the device any more. */
  close(): void {
    const { cl } = this;
    for (const kernel of this.kernels) cl.releaseKernel(kernel);
    for (const program of this.programs) cl.releaseProgram(program);
    for (const buffer of this.buffers) cl.releaseMem(buffer);
    cl.releaseQueue(this.queue);
    for (const pointer of this.svm) cl.svmFree(this.context, pointer);
    cl.releaseContext(this.context);
  }
}
