/**
 * OpenCL through koffi: the calls wingbeat makes, each checked in one place. Handles (cl_context, cl_mem...) are BigInt addresses.
 *
 * Source: OpenCL 3.0 API specification; numbers from the Khronos headers cl.h.
 */
import koffi from "koffi";
import { RunError } from "../../errors.js";
import { PROGRAM } from "../../native/finding.js";
import { findLibrary } from "../../native/library-path.js";

export type Handle = bigint;

/** A bound function. */
export type Call = ReturnType<ReturnType<typeof koffi.load>["func"]>;

/** Error names of cl.h by code. */
const STATUS: Readonly<Record<number, string>> = {
  [-1]: "CL_DEVICE_NOT_FOUND",
  [-2]: "CL_DEVICE_NOT_AVAILABLE",
  [-3]: "CL_COMPILER_NOT_AVAILABLE",
  [-4]: "CL_MEM_OBJECT_ALLOCATION_FAILURE",
  [-5]: "CL_OUT_OF_RESOURCES",
  [-6]: "CL_OUT_OF_HOST_MEMORY",
  [-11]: "CL_BUILD_PROGRAM_FAILURE",
  [-12]: "CL_MAP_FAILURE",
  [-14]: "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST",
  [-15]: "CL_COMPILE_PROGRAM_FAILURE",
  [-17]: "CL_LINK_PROGRAM_FAILURE",
  [-30]: "CL_INVALID_VALUE",
  [-31]: "CL_INVALID_DEVICE_TYPE",
  [-32]: "CL_INVALID_PLATFORM",
  [-33]: "CL_INVALID_DEVICE",
  [-34]: "CL_INVALID_CONTEXT",
  [-35]: "CL_INVALID_QUEUE_PROPERTIES",
  [-36]: "CL_INVALID_COMMAND_QUEUE",
  [-38]: "CL_INVALID_MEM_OBJECT",
  [-42]: "CL_INVALID_BINARY",
  [-43]: "CL_INVALID_BUILD_OPTIONS",
  [-44]: "CL_INVALID_PROGRAM",
  [-45]: "CL_INVALID_PROGRAM_EXECUTABLE",
  [-46]: "CL_INVALID_KERNEL_NAME",
  [-48]: "CL_INVALID_KERNEL",
  [-49]: "CL_INVALID_ARG_INDEX",
  [-50]: "CL_INVALID_ARG_VALUE",
  [-51]: "CL_INVALID_ARG_SIZE",
  [-52]: "CL_INVALID_KERNEL_ARGS",
  [-54]: "CL_INVALID_WORK_GROUP_SIZE",
  [-55]: "CL_INVALID_WORK_ITEM_SIZE",
  [-57]: "CL_INVALID_EVENT_WAIT_LIST",
  [-58]: "CL_INVALID_EVENT",
  [-59]: "CL_INVALID_OPERATION",
  [-61]: "CL_INVALID_BUFFER_SIZE",
  [-1001]: "CL_PLATFORM_NOT_FOUND_KHR",
};

export function statusName(status: number): string {
  return STATUS[status] ?? `OpenCL status ${status}`;
}

/** The one place that checks a status. */
export function check(status: number, call: string): void {
  if (status !== 0)
    throw new RunError("opencl", `${call}: ${statusName(status)}`, `${PROGRAM} doctor says what the device offers`);
}

const PROTOTYPES = {
  getPlatformIDs: "int clGetPlatformIDs(uint32_t count, void *ids, uint32_t *found)",
  getPlatformInfo: "int clGetPlatformInfo(void *platform, uint32_t what, size_t size, void *out, size_t *length)",
  getDeviceIDs: "int clGetDeviceIDs(void *platform, uint64_t type, uint32_t count, void *ids, uint32_t *found)",
  getDeviceInfo: "int clGetDeviceInfo(void *device, uint32_t what, size_t size, void *out, size_t *length)",
  createContext:
    "void *clCreateContext(void *props, uint32_t count, void *devices, void *notify, void *user, int *status)",
  releaseContext: "int clReleaseContext(void *context)",
  createQueue: "void *clCreateCommandQueueWithProperties(void *context, void *device, void *props, int *status)",
  releaseQueue: "int clReleaseCommandQueue(void *queue)",
  createProgram:
    "void *clCreateProgramWithSource(void *context, uint32_t count, const char **texts, size_t *lengths, int *status)",
  buildProgram:
    "int clBuildProgram(void *program, uint32_t count, void *devices, const char *options, void *notify, void *user)",
  getBuildInfo:
    "int clGetProgramBuildInfo(void *program, void *device, uint32_t what, size_t size, void *out, size_t *length)",
  releaseProgram: "int clReleaseProgram(void *program)",
  createKernel: "void *clCreateKernel(void *program, const char *name, int *status)",
  getKernelWorkGroupInfo:
    "int clGetKernelWorkGroupInfo(void *kernel, void *device, uint32_t what, size_t size, void *out, size_t *length)",
  releaseKernel: "int clReleaseKernel(void *kernel)",
  setKernelArg: "int clSetKernelArg(void *kernel, uint32_t index, size_t size, void *value)",
  setKernelArgSvm: "int clSetKernelArgSVMPointer(void *kernel, uint32_t index, void *value)",
  svmAlloc: "void *clSVMAlloc(void *context, uint64_t flags, size_t size, uint32_t alignment)",
  svmFree: "void clSVMFree(void *context, void *pointer)",
  createBuffer: "void *clCreateBuffer(void *context, uint64_t flags, size_t size, void *host, int *status)",
  releaseMem: "int clReleaseMemObject(void *mem)",
  enqueueWrite:
    "int clEnqueueWriteBuffer(void *queue, void *buffer, uint32_t blocking, size_t offset, size_t size, void *source, uint32_t waits, void *list, void *event)",
  enqueueRead:
    "int clEnqueueReadBuffer(void *queue, void *buffer, uint32_t blocking, size_t offset, size_t size, void *target, uint32_t waits, void *list, void *event)",
  enqueueKernel:
    "int clEnqueueNDRangeKernel(void *queue, void *kernel, uint32_t dimensions, void *offset, void *global, void *local, uint32_t waits, void *list, void *event)",
  getEventInfo: "int clGetEventInfo(void *event, uint32_t what, size_t size, void *out, size_t *length)",
  getEventProfile: "int clGetEventProfilingInfo(void *event, uint32_t what, size_t size, void *out, size_t *length)",
  releaseEvent: "int clReleaseEvent(void *event)",
  flush: "int clFlush(void *queue)",
  finish: "int clFinish(void *queue)",
} as const;

export type OpenCl = { readonly [Name in keyof typeof PROTOTYPES]: Call };

export const CL = {
  PLATFORM_NAME: 0x0902,
  DEVICE_TYPE: 0x1000,
  DEVICE_MAX_COMPUTE_UNITS: 0x1002,
  DEVICE_MAX_WORK_GROUP_SIZE: 0x1004,
  DEVICE_MAX_MEM_ALLOC_SIZE: 0x1010,
  DEVICE_GLOBAL_MEM_SIZE: 0x101f,
  DEVICE_LOCAL_MEM_SIZE: 0x1023,
  DEVICE_AVAILABLE: 0x1027,
  DEVICE_COMPILER_AVAILABLE: 0x1028,
  DEVICE_NAME: 0x102b,
  DEVICE_VENDOR: 0x102c,
  DRIVER_VERSION: 0x102d,
  DEVICE_VERSION: 0x102f,
  DEVICE_HOST_UNIFIED_MEMORY: 0x1035,
  DEVICE_OPENCL_C_VERSION: 0x103d,
  DEVICE_SVM_CAPABILITIES: 0x1053,
  DEVICE_ATOMIC_MEMORY_CAPABILITIES: 0x1063,
  DEVICE_OPENCL_C_ALL_VERSIONS: 0x1066,
  DEVICE_OPENCL_C_FEATURES: 0x106f,
  DEVICE_TYPE_CPU: 2,
  DEVICE_TYPE_GPU: 4,
  DEVICE_TYPE_ACCELERATOR: 8,
  DEVICE_TYPE_ALL: 0xffff_ffff,
  ATOMIC_SCOPE_ALL_DEVICES: 1 << 6,
  SVM_COARSE_GRAIN_BUFFER: 1,
  SVM_FINE_GRAIN_BUFFER: 2,
  SVM_FINE_GRAIN_SYSTEM: 4,
  SVM_ATOMICS: 8,
  MEM_READ_WRITE: 1n,
  MEM_READ_ONLY: 4n,
  MEM_SVM_FINE_GRAIN_BUFFER: 1n << 10n,
  MEM_SVM_ATOMICS: 1n << 11n,
  PROGRAM_BUILD_LOG: 0x1183,
  KERNEL_WORK_GROUP_SIZE: 0x11b0,
  QUEUE_PROPERTIES: 0x1093n,
  QUEUE_PROFILING_ENABLE: 2n,
  EVENT_COMMAND_EXECUTION_STATUS: 0x11d3,
  COMPLETE: 0,
  PROFILING_COMMAND_START: 0x1282,
  PROFILING_COMMAND_END: 0x1283,
} as const;

let loaded: OpenCl | undefined;

/**
 * Loads libOpenCL once for the process and all its threads' sake: koffi keeps one handle per path.
 * @throws RunError where it is not there, or is too old
 */
export function openCl(): OpenCl {
  if (loaded !== undefined) return loaded;
  const path = findLibrary(["libOpenCL.so.1"]);
  if (path === undefined) {
    throw new RunError(
      "opencl",
      "libOpenCL.so.1 is not on this machine",
      `${PROGRAM} doctor --install, or apt-get install ocl-icd-libopencl1`,
    );
  }
  try {
    const library = koffi.load(path);
    const entries = Object.entries(PROTOTYPES).map(([name, prototype]) => [name, library.func(prototype)]);
    loaded = Object.fromEntries(entries) as OpenCl;
    return loaded;
  } catch (error) {
    // Not a library after all, or one of OpenCL 1.2, which has no SVM.
    throw new RunError(
      "opencl",
      `${path} cannot be used: ${(error as Error).message}`,
      `${PROGRAM} doctor --install, or apt-get install ocl-icd-libopencl1`,
    );
  }
}

/** Calls a create function, whose last argument is its status. */
export function create(call: Call, name: string, ...args: unknown[]): Handle {
  const status = new Int32Array(1);
  const handle = call(...args, status) as Handle | null;
  check(status[0]!, name);
  return handle!;
}

/** The bytes of an info query; none where the device does not know the question. */
export function info(ask: Call, object: Handle, what: number): Buffer {
  const length = new BigUint64Array(1);
  if (ask(object, what, 0, null, length) !== 0 || length[0] === 0n) return Buffer.alloc(0);
  const out = Buffer.alloc(Number(length[0]));
  return ask(object, what, out.length, out, null) === 0 ? out : Buffer.alloc(0);
}

export function infoText(ask: Call, object: Handle, what: number): string {
  return info(ask, object, what).toString("utf8").replace(/\0.*$/s, "").trim();
}

/** An integer of 4 or 8 bytes; 0 where the device does not know the question. */
export function infoNumber(ask: Call, object: Handle, what: number): number {
  const bytes = info(ask, object, what);
  if (bytes.length >= 8) return Number(bytes.readBigUInt64LE());
  return bytes.length >= 4 ? bytes.readUInt32LE() : 0;
}

/** Platforms or devices: asks for the count, then for the handles. */
export function handles(ask: (count: number, out: Buffer | null, found: Uint32Array | null) => number): Handle[] {
  const found = new Uint32Array(1);
  if (ask(0, null, found) !== 0 || found[0] === 0) return [];
  const out = Buffer.alloc(found[0]! * 8);
  if (ask(found[0]!, out, null) !== 0) return [];
  return Array.from({ length: found[0]! }, (_, i) => out.readBigUInt64LE(i * 8));
}
