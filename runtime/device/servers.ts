/** From what main asks for to a server on a device of that kind. */
import type { GpuJsRequest } from "./gpujs/open.js";
import { type OpenClRequest, openOpenCl } from "./opencl/open.js";
import type { QueueShape } from "./queue.js";
import type { DeviceServer } from "./server.js";
import { openWebGpu, type WebGpuRequest } from "./webgpu/open.js";

export type AnyRequest = OpenClRequest | WebGpuRequest | GpuJsRequest;

/** True where the device is reached through Dawn, which aborts where a thread ends while promises of its are open. */
export function usesDawn(request: AnyRequest): boolean {
  return request.kind === "webgpu" || (request.kind === "gpujs" && request.mode === "webgpu");
}

/**
 * @param slots says how many slots the arena is to have, once it is known how many workgroups there will be
 * @param warn one line for the user
 * @throws RunError where the device is not there, cannot do it, or the kernels do not compile
 */
export async function openServer(
  request: AnyRequest,
  slots: (shape: QueueShape) => number,
  warn: (line: string) => void,
): Promise<DeviceServer> {
  if (request.kind === "opencl") return openOpenCl(request, slots, warn);
  if (request.kind === "webgpu") return openWebGpu(request, slots);
  // Only here: it may import modules of users.
  return (await import("./gpujs/open.js")).openGpuJs(request, slots);
}
