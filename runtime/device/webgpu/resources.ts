/** What a device holds for rounds: pipeline, tables, and for each round under way buffers and bindings. Made in error scopes. */
import type { PackedRound } from "../packing.js";
import { scoped } from "./adapter.js";
import { compileShader, computePipeline, type ShaderSource } from "./program.js";

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
  readonly pipeline: GPUComputePipeline;
  readonly tables: GPUBuffer;
  /** As many as rounds may be under way. */
  readonly rounds: readonly RoundBuffers[];
}

/** WebGPU binds no buffer of less. */
const LEAST_BYTES = 16;

/** @throws RunError with the device's complaint: no memory, shaders that do not compile */
export async function makeResources(
  device: GPUDevice,
  source: ShaderSource,
  rounds: readonly PackedRound[],
  tableWords: number,
): Promise<Resources> {
  const { STORAGE, COPY_DST, COPY_SRC, MAP_READ, MAP_WRITE } = GPUBufferUsage;
  const module = await compileShader(device, source);
  const layout = await scoped(device, "the layout of the bindings", () => roundsLayout(device));
  const pipelineLayout = device.createPipelineLayout({ bindGroupLayouts: [layout] });
  const pipeline = await computePipeline(device, module, pipelineLayout, "rounds");
  const buffer = (label: string, bytes: number, usage: number, mappedAtCreation = false) =>
    scoped(device, `the buffer of ${bytes} bytes for ${label}`, () =>
      device.createBuffer({ label, size: Math.max(LEAST_BYTES, bytes), usage, mappedAtCreation }),
    );
  const tables = await buffer("the tables", 4 * tableWords, STORAGE | COPY_DST);
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
    const entries = [packets, params, rows, tables].map((one, binding) => ({ binding, resource: { buffer: one } }));
    const bindings = await scoped(device, "the bindings", () => device.createBindGroup({ layout, entries }));
    made.push({ packets, params, rows, up, back, bindings });
  }
  return { pipeline, tables, rounds: made };
}

/** Layout of the bindings of kernels/common.wgsl. */
export function roundsLayout(device: GPUDevice): GPUBindGroupLayout {
  const types = ["storage", "storage", "read-only-storage", "read-only-storage"] as const;
  return device.createBindGroupLayout({
    entries: types.map((type, binding) => ({ binding, visibility: GPUShaderStage.COMPUTE, buffer: { type } })),
  });
}
