/** From what a run asks for to a server on gpu.js. */
import type { QueueShape } from "../queue.js";
import type { ServerRequest } from "../server.js";
import { GpuJs, type GpuJsMode } from "./compile.js";
import { importGpuJs } from "./program.js";
import { GpuJsServer } from "./server.js";

export interface GpuJsRequest extends ServerRequest {
  readonly kind: "gpujs";
  readonly mode: GpuJsMode;
  /** For tests, in mode webgpu: the device is destroyed once it has been given as many launches; 0: at the first. */
  readonly loseAfter: number | undefined;
}

/** Rows of two queues fill a launch. */
const WORKGROUPS = 2;

/**
 * @param slots says how many slots the arena is to have
 * @throws RunError where gpu.js or an adapter is not there, or a kernel does not compile
 */
export async function openGpuJs(request: GpuJsRequest, slots: (shape: QueueShape) => number): Promise<GpuJsServer> {
  const { mode, workgroups, workgroupSize, depth, tableWords, loseAfter, corruptAfter } = request;
  const programs = await Promise.all(request.programs.map(importGpuJs));
  const gpu = await GpuJs.open(mode);
  const shape: QueueShape = { workgroups: workgroups ?? WORKGROUPS, workgroupSize, depth };
  const server = new GpuJsServer(gpu, { shape, programs, slots: slots(shape), tableWords, loseAfter, corruptAfter });
  try {
    await server.tryKernels();
  } catch (error) {
    server.close();
    await server.closed;
    throw error;
  }
  return server;
}
