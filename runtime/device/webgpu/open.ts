/** From what a run asks for to a server on a WebGPU adapter. */
import { availableParallelism } from "node:os";
import { PARAM_WORDS } from "../../packet/arena.js";
import { forwardConstants, mostKept, PACKET_WORDS } from "../forward.js";
import { PACKED, PackedRound } from "../packing.js";
import { type QueueShape, rowWords } from "../queue.js";
import { mostRows, RoundHost } from "../round-host.js";
import { type DeviceServer, MOST_WORKGROUPS, type ServerRequest } from "../server.js";
import { type Adapter, listAdapters, openDevice, pickAdapter, type Wanted } from "./adapter.js";
import { shaderSource, workgroupBytes } from "./program.js";
import { makeResources } from "./resources.js";
import { WebGpuRounds } from "./rounds.js";

export interface WebGpuRequest extends ServerRequest {
  readonly kind: "webgpu";
  /** For tests: the device is destroyed once it has been given as many rounds; 0: at the first launch. */
  readonly loseAfter: number | undefined;
}

/** Bytes that a round's params, rows and gaps take beyond its packets, at most, per thread. */
const AROUND_PACKET = 64;

/**
 * @param slots says how many slots the arena is to have
 * @throws RunError where there is no such adapter, a limit of it is too small, it has not the memory, or the kernels do not compile
 */
export async function openWebGpu(request: WebGpuRequest, slots: (shape: QueueShape) => number): Promise<DeviceServer> {
  const { name, workgroupSize, depth, programs, kernelFolders, loseAfter } = request;
  const adapter = pickAdapter(await listAdapters(), name);
  const shape: QueueShape = { workgroups: request.workgroups ?? usualQueues(adapter), workgroupSize, depth };
  const { forwarding, routes } = request;
  const rows = mostRows(shape);
  const entries = rows * workgroupSize;
  const constants = {
    WB_PACKED: PACKED,
    ...(forwarding && forwardConstants(forwarding, routes, entries, rows * rowWords(shape))),
  };
  const entry = forwarding === undefined ? "rounds" : "forward";
  const source = shaderSource({ shape, programs, entry, constants, folders: kernelFolders });
  const ahead = forwarding === undefined ? 0 : PACKET_WORDS + PARAM_WORDS + forwarding.hops * mostKept(forwarding);
  const around = AROUND_PACKET + 4 * ahead;
  const wanted: Wanted = {
    buffer: Math.max(4 * request.tableWords, PackedRound.packetBytesOf(entries) + entries * around),
    workgroupSize,
    workgroupMemory: workgroupBytes(source),
    storageBuffers: 4,
  };
  const gpu = await openDevice(adapter, wanted);
  let host: RoundHost | undefined;
  try {
    host = new RoundHost({ ...request, shape, slots: slots(shape) });
    const resources = await makeResources(gpu.device, source, host.rounds, request.tableWords);
    return new WebGpuRounds(gpu, shape, host, resources, loseAfter);
  } catch (error) {
    gpu.device.destroy();
    await gpu.device.lost;
    host?.free();
    throw error;
  }
}

/** WebGPU does not say how much a device runs at once. A round takes rows of all queues, so more of them mean fuller rounds. */
function usualQueues({ facts }: Adapter): number {
  return facts.emulated ? Math.min(availableParallelism(), MOST_WORKGROUPS) : MOST_WORKGROUPS;
}
