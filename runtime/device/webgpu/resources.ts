/** What a device holds for rounds: pipelines, tables, and for each round under way buffers and bindings. Made in error scopes. */
import type { PackedRound } from "../packing.js";
import { scoped } from "./adapter.js";
import { compileShader, computePipeline, type Entry, type ShaderSource } from "./program.js";

/** Where a round's copies are. */
export interface RoundBuffers {
  /** What the shader sees. */
  readonly packets: GPUBuffer;
  readonly params: GPUBuffer;
  readonly rows: GPUBuffer;
  /** Mapped while the host fills it: packets, params, rows, what describes packets, one behind the other. Mapped again as soon as the device has read it. */
  readonly up: GPUBuffer;
  /** Mapped while the host reads it: packets, params, paths, what is kept of hops. */
  readonly back: GPUBuffer;
  readonly bindings: GPUBindGroup;
}

export interface Resources {
  /** By ROW.PROGRAM, for rows. */
  readonly pipelines: readonly GPUComputePipeline[];
  /** By ROW.PROGRAM, for packets on their way to it; undefined where none come. */
  readonly behind: readonly (GPUComputePipeline | undefined)[];
  readonly tables: GPUBuffer;
  /** As many as rounds may be under way. */
  readonly rounds: readonly RoundBuffers[];
}

/** WebGPU binds no buffer of less. */
const LEAST_BYTES = 16;
/** Where the number of a row stands in {@link rowNumbers}, by row: WebGPU's minUniformBufferOffsetAlignment, unless one asks for less. */
export const ROW_NUMBER_BYTES = 256;

/** Shaders by ROW.PROGRAM: for rows, and for packets that come to it by hops. */
export interface Shaders {
  readonly rounds: readonly ShaderSource[];
  readonly behind: readonly (ShaderSource | undefined)[];
}

/**
 * @param mostRows of a round
 * @throws RunError with the device's complaint: no memory, shaders that do not compile
 */
export async function makeResources(
  device: GPUDevice,
  shaders: Shaders,
  rounds: readonly PackedRound[],
  tableWords: number,
  mostRows: number,
): Promise<Resources> {
  const { STORAGE, COPY_DST, COPY_SRC, MAP_READ, MAP_WRITE } = GPUBufferUsage;
  const layout = await scoped(device, "the layout of the bindings", () => roundsLayout(device));
  const pipelineLayout = device.createPipelineLayout({ bindGroupLayouts: [layout] });
  const modules = new Map<ShaderSource, Promise<GPUShaderModule>>();
  const pipelineOf = async (source: ShaderSource, entry: Entry) => {
    if (!modules.has(source)) modules.set(source, compileShader(device, source));
    return computePipeline(device, await modules.get(source)!, pipelineLayout, entry);
  };
  const [pipelines, behind] = await Promise.all([
    Promise.all(shaders.rounds.map((source) => pipelineOf(source, "rounds"))),
    Promise.all(shaders.behind.map((source) => source && pipelineOf(source, "behind"))),
  ]);
  const buffer = (label: string, bytes: number, usage: number, mappedAtCreation = false) =>
    scoped(device, `the buffer of ${bytes} bytes for ${label}`, () =>
      device.createBuffer({ label, size: Math.max(LEAST_BYTES, bytes), usage, mappedAtCreation }),
    );
  const tables = await buffer("the tables", 4 * tableWords, STORAGE | COPY_DST);
  const numbers = await scoped(device, "the numbers of rows", () => rowNumbers(device, mostRows));
  const made: RoundBuffers[] = [];
  for (const { packetBytes, paramBytes, rowBytes, ahead } of rounds) {
    const describedBytes = ahead?.described.byteLength ?? 0;
    const aheadBytes = ahead === undefined ? 0 : ahead.paths.byteLength + ahead.kept.byteLength;
    const packets = await buffer("packets", packetBytes, STORAGE | COPY_DST | COPY_SRC);
    const params = await buffer(
      "params",
      (ahead === undefined ? 1 : 2) * paramBytes + aheadBytes,
      STORAGE | COPY_DST | COPY_SRC,
    );
    const rows = await buffer("rows", rowBytes + describedBytes, STORAGE | COPY_DST);
    const upBytes = packetBytes + paramBytes + rowBytes + describedBytes;
    const up = await buffer("copies to the device", upBytes, MAP_WRITE | COPY_SRC, true);
    const backBytes = packetBytes + paramBytes + aheadBytes;
    const back = await buffer("copies from the device", backBytes, MAP_READ | COPY_DST);
    const bindings = await scoped(device, "the bindings", () =>
      roundsBindings(device, layout, [packets, params, rows, tables], numbers),
    );
    made.push({ packets, params, rows, up, back, bindings });
  }
  return { pipelines, behind, tables, rounds: made };
}

/** Layout of the bindings of kernels/common.wgsl; the last has an offset for each dispatch. */
export function roundsLayout(device: GPUDevice): GPUBindGroupLayout {
  const types = ["storage", "storage", "read-only-storage", "read-only-storage", "uniform"] as const;
  return device.createBindGroupLayout({
    entries: types.map((type, binding) => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type, hasDynamicOffset: type === "uniform" },
    })),
  });
}

/**
 * The numbers of rows from 0 on, {@link ROW_NUMBER_BYTES} apart: a dispatch finds the number of its first row at an offset, and nothing has
 * to be written for it.
 */
export function rowNumbers(device: GPUDevice, rows: number): GPUBuffer {
  const buffer = device.createBuffer({
    label: "the numbers of rows",
    size: rows * ROW_NUMBER_BYTES,
    usage: GPUBufferUsage.UNIFORM,
    mappedAtCreation: true,
  });
  const words = new Uint32Array(buffer.getMappedRange());
  for (let row = 0; row < rows; row++) words[(row * ROW_NUMBER_BYTES) / 4] = row;
  buffer.unmap();
  return buffer;
}

/** @param buffers bindings 0 to 3 of kernels/common.wgsl */
export function roundsBindings(
  device: GPUDevice,
  layout: GPUBindGroupLayout,
  buffers: readonly GPUBuffer[],
  numbers: GPUBuffer,
): GPUBindGroup {
  const entries: GPUBindGroupEntry[] = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
  entries.push({ binding: buffers.length, resource: { buffer: numbers, size: 4 } });
  return device.createBindGroup({ layout, entries });
}
