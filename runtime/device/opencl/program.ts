/**
 * Puts the device program of a run together and builds it: layout macros, common.cl, the kernels of the NFs in use, the dispatch among
 * them (generated, so that a new NF is a new file and nothing else), and the entry: syncer.cl or rounds.cl.
 */
import { RunError } from "../../errors.js";
import { layoutConstants, readKernel, readTables } from "../kernel-files.js";
import type { QueueShape } from "../queue.js";
import { CL, create, type Handle, info, type OpenCl, statusName } from "./library.js";

export interface ProgramOptions {
  readonly shape: QueueShape;
  /** Kernels in use; the position of each is its ROW.PROGRAM. */
  readonly programs: readonly string[];
  /** File with the kernel functions: "syncer", "rounds". */
  readonly entry: string;
  /** More macros. */
  readonly defines?: Readonly<Record<string, number>>;
  /** Folder of the .cl files; tests and benchmarks give others. */
  readonly folders?: readonly string[];
}

/** @throws RunError where a kernel's file is missing */
export function programSource(options: ProgramOptions): string {
  const { shape, programs } = options;
  const read = (name: string): string => `#line 1 "${name}.cl"\n${readKernel(`${name}.cl`, options.folders)}`;
  const kernel = (name: string): string => {
    const tables = readTables(name, "cl", options.folders);
    return tables === undefined ? read(name) : `#line 1 "${tables.name}"\n${tables.text}\n${read(name)}`;
  };
  const macros = layoutConstants(shape, options.defines);
  const defines = Object.entries(macros).map(([name, value]) => `#define ${name} ${value}u`);
  return [defines.join("\n"), read("common"), ...programs.map(kernel), dispatch(programs), read(options.entry)].join(
    "\n",
  );
}

/**
 * wb_init and wb_serve, which call the function of the NF a row is for. Inlined by order: where LLVM 15 (PoCL 3.1) has to find out by
 * itself whether a large function is worth it, it crashes.
 */
function dispatch(programs: readonly string[]): string {
  const words = (name: string) => `NF_${name.toUpperCase()}_LOCAL_WORDS`;
  const at = (i: number) => ["0", ...programs.slice(0, i).map(words)].join(" + ");
  const inits = programs.map((name, i) => `  nf_${name}_init(local_words + ${at(i)}, thread, threads);`);
  const cases = programs.map(
    (name, i) => `  case ${i}: nf_${name}(slot, params, table, local_words + ${at(i)}); break;`,
  );
  return [
    '#line 1 "dispatch"',
    `#define WB_LOCAL_WORDS (1 + ${at(programs.length)})`,
    "static __attribute__((always_inline)) void wb_init(__local uint *local_words, uint thread, uint threads) {",
    ...inits,
    "}",
    "static __attribute__((always_inline)) void wb_serve(uint program, __global uchar *slot, __global uint *params, __global const uint *table,",
    "                     __local const uint *local_words) {",
    "  switch (program) {",
    ...cases,
    "  default: break;",
    "  }",
    "}",
  ].join("\n");
}

/**
 * Builds for one device, with the newest OpenCL C it takes.
 * @param atomics true where the entry uses C11 atomics, which OpenCL C 1.2 has not
 * @throws RunError with the build log
 */
export function buildProgram(
  cl: OpenCl,
  context: Handle,
  device: Handle,
  source: string,
  atomics: boolean,
  more = "",
): Handle {
  let log = "";
  for (const standard of atomics ? ["CL3.0", "CL2.0"] : ["CL3.0", "CL2.0", "CL1.2"]) {
    const program = create(cl.createProgram, "clCreateProgramWithSource", context, 1, [source], null);
    const devices = BigUint64Array.of(device);
    const status = cl.buildProgram(program, 1, devices, `-cl-std=${standard} ${more}`.trim(), null, null) as number;
    if (status === 0) return program;
    const bytes = info(
      ((object: Handle, ...rest: unknown[]) => cl.getBuildInfo(object, device, ...rest)) as OpenCl["getBuildInfo"],
      program,
      CL.PROGRAM_BUILD_LOG,
    );
    log += `-cl-std=${standard}: ${statusName(status)}\n${bytes.toString("utf8").replace(/\0.*$/s, "").trim()}\n`;
    cl.releaseProgram(program);
  }
  throw new RunError(
    "opencl",
    `the kernels do not compile for this device:\n${log}`,
    "use another --device, or --device none",
  );
}
