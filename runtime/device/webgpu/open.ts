/** From what a run asks for to a server on a WebGPU adapter. */
import type { QueueShape } from "../queue.js";
import type { DeviceServer, ServerRequest } from "../server.js";

export interface WebGpuRequest extends ServerRequest {
  readonly kind: "webgpu";
  /** For tests: the device is destroyed once it has been given as many rounds. */
  readonly loseAfter: number | undefined;
}

export async function openWebGpu(
  _request: WebGpuRequest,
  _slots: (shape: QueueShape) => number,
): Promise<DeviceServer> {
  throw new Error("not yet");
}
