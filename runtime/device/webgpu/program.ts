/**
 * Puts the shader of a run together: constants of the layout, common.wgsl, the kernels of the NFs in use, the dispatch among them
 * (generated, so that a new NF is a new file and nothing else), and the entry. WGSL has neither macros nor #line: constants are `const`,
 * and what the compiler complains about is led back to file and line here.
 */
import { RunError } from "../../errors.js";
import { layoutConstants, readKernel, readTables } from "../kernel-files.js";
import type { QueueShape } from "../queue.js";
import { scoped } from "./adapter.js";

export interface ShaderOptions {
  readonly shape: QueueShape;
  /** Kernels in use; the position of each is its ROW.PROGRAM. */
  readonly programs: readonly string[];
  /** File with the entry points: "rounds", or "forward" for packets that go on from NF to NF. */
  readonly entry: string;
  /** More constants, u32; WB_PACKED is 0 unless given. */
  readonly constants?: Readonly<Record<string, number>>;
  /** Folders to look for .wgsl files in before kernels/; tests and benchmarks give some. */
  readonly folders?: readonly string[];
}

/** The entry with which packets go on. */
const FORWARD = "forward";

interface Part {
  readonly file: string;
  readonly text: string;
}

export interface ShaderSource {
  readonly code: string;
  readonly parts: readonly Part[];
}

/** @throws RunError where a kernel's file is missing */
export function shaderSource(options: ShaderOptions): ShaderSource {
  const { shape, programs, entry, folders } = options;
  const constants = Object.entries(layoutConstants(shape, { WB_PACKED: 0, ...options.constants }));
  const file = (name: string): Part => ({ file: `${name}.wgsl`, text: readKernel(`${name}.wgsl`, folders) });
  const tablesOf = (program: string): Part[] => {
    const tables = readTables(program, "wgsl", folders);
    return tables === undefined ? [] : [{ file: tables.name, text: tables.text }];
  };
  const kernels = programs.map(file);
  const texts = kernels.map(({ text }) => text);
  const parts: Part[] = [
    { file: "layout", text: constants.map(([name, value]) => `const ${name}: u32 = ${value}u;`).join("\n") },
    file("common"),
    ...programs.flatMap((name, i) => [...tablesOf(name), kernels[i]!]),
    { file: "dispatch", text: dispatch(programs, texts) + (entry === FORWARD ? onwards(programs, texts) : "") },
    file(entry),
  ].map((part) => ({ ...part, text: part.text.replace(/\n*$/, "\n") }));
  return { code: parts.map(({ text }) => text).join(""), parts };
}

/**
 * wb_init and wb_serve, which call the functions of the NFs. A barrier only where some NF fills workgroup memory: emulators pay for one as
 * for a change of thread.
 */
function dispatch(programs: readonly string[], texts: readonly string[]): string {
  const inits = programs.filter((name, i) => texts[i]!.includes(`fn nf_${name}_init(`));
  return [
    "fn wb_init(thread: u32, threads: u32) {",
    ...inits.map((name) => `  nf_${name}_init(thread, threads);`),
    ...(inits.length > 0 ? ["  workgroupBarrier();"] : []),
    "}",
    "fn wb_serve(program: u32, slot: u32, params_at: u32, table: u32) {",
    "  switch program {",
    ...programs.map((name, i) => `    case ${i}u: { nf_${name}(slot, params_at, table); }`),
    "    default: {}",
    "  }",
    "}",
  ].join("\n");
}

/** wb_outcome and wb_enter, which call those of the NFs that take part: what their kernel answers, and what is to be done at them. */
function onwards(programs: readonly string[], texts: readonly string[]): string {
  const cases = (part: string, parameters: string) =>
    programs.flatMap((name, i) =>
      texts[i]!.includes(`fn nf_${name}_${part}(`)
        ? [`    case ${i}u: { return nf_${name}_${part}(${parameters}); }`]
        : [],
    );
  return [
    "\nfn wb_outcome(program: u32, params_at: u32) -> u32 {",
    "  switch program {",
    ...cases("outcome", "params_at"),
    "    default: { return WB_UNDECIDED; }",
    "  }",
    "}",
    "fn wb_enter(program: u32, slot: u32, params_at: u32, table: u32, packet: WbPacket) -> u32 {",
    "  switch program {",
    ...cases("enter", "slot, params_at, table, packet"),
    "    default: { return WB_STAYS_OUT; }",
    "  }",
    "}",
  ].join("\n");
}

/** The file and the line in it that line `line` (from 1) of the whole shader came from. */
export function originOf({ parts }: ShaderSource, line: number): { file: string; line: number } {
  let first = 1;
  for (const { file, text } of parts) {
    const lines = text.split("\n").length - 1;
    if (line < first + lines) return { file, line: line - first + 1 };
    first += lines;
  }
  return { file: parts.at(-1)?.file ?? "shader", line: Math.max(1, line - first + 1) };
}

/** Bytes of workgroup memory that the kernels of a shader take together: arrays of u32, as kernels/README.md wants them. */
export function workgroupBytes({ code }: ShaderSource): number {
  let words = 0;
  for (const [, count] of code.matchAll(/^var<workgroup>\s+\w+\s*:\s*array<u32,\s*(\d+)u?>/gm)) words += Number(count);
  return 4 * words;
}

/** @throws RunError with file, line and text of each of the compiler's complaints */
export async function compileShader(device: GPUDevice, source: ShaderSource): Promise<GPUShaderModule> {
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ label: "wingbeat", code: source.code });
  const [error, info] = await Promise.all([device.popErrorScope(), module.getCompilationInfo()]);
  const complaints = info.messages
    .filter(({ type }) => type === "error")
    .map(({ lineNum, linePos, message }) => {
      const { file, line } = originOf(source, lineNum);
      const text = source.code.split("\n")[lineNum - 1]?.trim() ?? "";
      return `${file}:${line}:${linePos}: ${message}\n    ${text}`;
    });
  if (error === null && complaints.length === 0) return module;
  if (complaints.length === 0) complaints.push(error?.message ?? "no reason given");
  throw new RunError("webgpu", `the kernels do not compile:\n${complaints.join("\n")}`, "use another --device");
}

/**
 * The pipeline of one entry point.
 * @throws RunError where the device refuses it: a workgroup larger than it takes, or more workgroup memory than it has
 */
export async function computePipeline(
  device: GPUDevice,
  module: GPUShaderModule,
  layout: GPUPipelineLayout,
  entryPoint: string,
): Promise<GPUComputePipeline> {
  return scoped(device, `the pipeline ${entryPoint}`, () =>
    device.createComputePipeline({ label: entryPoint, layout, compute: { module, entryPoint } }),
  );
}
