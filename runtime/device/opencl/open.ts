/** From what a run asks for to a server on an OpenCL device. */
import { ConfigError, RunError } from "../../errors.js";
import type { QueueShape } from "../queue.js";
import { type DeviceServer, MOST_WORKGROUPS, type ServerRequest } from "../server.js";
import { OpenClContext } from "./context.js";
import { openCl } from "./library.js";
import { PersistentServer } from "./persistent.js";
import { type FoundDevice, listDevices, pickDevice, traitsOf } from "./platform.js";
import { RoundsServer } from "./rounds.js";

export interface OpenClRequest extends ServerRequest {
  readonly kind: "opencl";
  /** The device; undefined: by `name`, part of its or its platform's name. */
  readonly found: FoundDevice | undefined;
  /** Undefined: persistent where the device can. */
  readonly mode: "persistent" | "rounds" | undefined;
  readonly sliceMs: number;
  readonly patienceMs: number;
}

/**
 * @param slots says how many slots the arena is to have, once it is known how many workgroups there will be
 * @throws RunError where the device is not there, cannot do it, or the kernels do not compile
 */
export function openOpenCl(
  request: OpenClRequest,
  slots: (shape: QueueShape) => number,
  warn: (line: string) => void,
): DeviceServer {
  const { name, workgroupSize, depth } = request;
  const option = name === undefined ? "--device opencl" : `--device opencl:${name}`;
  const cl = openCl();
  const found = request.found ?? pickDevice(listDevices(cl), name, option);
  const { device } = found;
  const { persistent, reason } = traitsOf(device);
  const mode = request.mode ?? (persistent ? "persistent" : "rounds");
  if (mode === "persistent" && !persistent) {
    throw new RunError(option, `${device.name} cannot run a persistent kernel: ${reason}`, "use rounds");
  }
  if (workgroupSize > device.maxWorkgroupSize) {
    const problem = `workgroups of ${workgroupSize} threads; ${device.name} has at most ${device.maxWorkgroupSize}`;
    throw new ConfigError(option, problem, "use smaller workgroups");
  }
  // One for each compute unit.
  const workgroups = request.workgroups ?? Math.max(1, Math.min(device.computeUnits, MOST_WORKGROUPS));
  const shape: QueueShape = { workgroups, workgroupSize, depth };
  const options = { ...request, shape, slots: slots(shape), warn };
  const context = new OpenClContext(cl, found);
  try {
    return mode === "persistent" ? new PersistentServer(context, options) : new RoundsServer(context, options);
  } catch (error) {
    context.close();
    throw error;
  }
}
