/** Which devices an experiment runs on: those that were named are looked for before the work, and `auto` becomes the best one there is. */
import type { LoadedChain } from "../chain/load.js";
import { type Candidate, type DeviceRequest, openForRun, parseDevice } from "../device/choose.js";
import type { DeviceKind } from "../device/device.js";
import { preparePocl } from "../device/opencl/pocl.js";
import { adaptersHere } from "../device/webgpu/here.js";
import { openClDevices } from "../engine/run-device.js";
import { ConfigError } from "../errors.js";
import { ableNfs, lackFor, placementOf } from "./placements.js";

/**
 * `--devices`: as `--device` takes them, separated by commas. `none` is what all are compared with, and stands for no device.
 * @throws ConfigError
 */
export function parseDevices(text: string): DeviceRequest[] {
  const found = new Map<string, DeviceRequest>();
  for (const part of text.split(",")) {
    try {
      const request = parseDevice(part.trim());
      found.set(request.text, request);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      throw new ConfigError("--devices", error.message.replace(/^--device: /, ""), "separate several by commas");
    }
  }
  return [...found.values()].filter(({ kind }) => kind !== "none");
}

/**
 * @returns as `--device` takes them
 * @throws RunError where one that was named is not there
 */
export async function findDevices(
  chain: LoadedChain,
  requests: readonly DeviceRequest[],
  warn: (line: string) => void,
): Promise<string[]> {
  // Before the first device is listed: PoCL reads its environment then.
  preparePocl(undefined);
  const able = ableNfs(chain);
  if (able.length === 0) return [];
  const found = new Set<string>();
  for (const request of requests) {
    const candidate = await openForRun<Candidate>(request, able, able, {
      opencl: openClDevices,
      webgpu: adaptersHere,
      // A device is there for a chain as soon as it can take one of its NFs.
      lack: (kind) => (request.kind === "auto" ? lackOfAll(chain, able, kind) : undefined),
      open: (one) => Promise.resolve(one),
      warn,
    });
    if (candidate !== undefined) found.add(request.kind === "auto" ? candidate.kind : request.text);
  }
  return [...found];
}

function lackOfAll(chain: LoadedChain, able: readonly string[], kind: DeviceKind): string | undefined {
  const lacks = able.map((nf) => lackFor(chain, placementOf(chain, [nf]), kind));
  return lacks.every((lack) => lack !== undefined) ? lacks[0] : undefined;
}
