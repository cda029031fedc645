/** What doctor says of the devices NFs can be placed on, and the remedy for each lack. */
import { ask } from "../native/ask.js";
import { type Finding, PROGRAM } from "../native/finding.js";
import { findLibrary } from "../native/library-path.js";
import { gpuJsFinding } from "./gpujs/findings.js";
import { noDeviceRemedy, type OpenClDevice, ranked, svmKinds, traitsOf } from "./opencl/platform.js";
import { missingPocl, type Problem } from "./opencl/pocl.js";
import { webGpuFindings } from "./webgpu/findings.js";

const INSTALL = `${PROGRAM} doctor --install`;
const OPENCL: Pick<Finding, "area" | "name"> = { area: "devices", name: "OpenCL loader" };

export async function deviceFindings(): Promise<Finding[]> {
  return [...(await Promise.all([openCl(), webGpuFindings()])).flat(), gpuJsFinding()];
}

async function openCl(): Promise<Finding[]> {
  const path = findLibrary(["libOpenCL.so.1"]);
  if (path === undefined)
    return [{ ...OPENCL, state: "missing", detail: "no OpenCL device can be used", remedy: INSTALL }];
  const answer = await ask<OpenClDevice[]>(new URL("./opencl/probe.js", import.meta.url));
  return [...openClFindings(path, answer), ...poclFindings(missingPocl())];
}

/** @param lack of PoCL's kernel cache; undefined where it has none */
export function poclFindings(lack: Problem | undefined): Finding[] {
  if (lack === undefined) return [];
  return [
    { area: "devices", name: "PoCL's kernel cache", state: "missing", detail: lack.problem, remedy: lack.remedy },
  ];
}

/**
 * @param path the loader that was asked
 * @param answer what probe.ts answered, or why it did not
 */
export function openClFindings(path: string, answer: readonly OpenClDevice[] | Error): Finding[] {
  if (answer instanceof Error) {
    const detail = `${path} cannot be used: ${answer.message}`;
    return [
      {
        ...OPENCL,
        state: "limited",
        detail,
        remedy: `${INSTALL}, or take the driver that fails out of /etc/OpenCL/vendors`,
      },
    ];
  }
  if (answer.length === 0) {
    return [{ ...OPENCL, state: "missing", detail: `${path} finds no device`, remedy: noDeviceRemedy() }];
  }
  const hardware = answer.some((device) => !traitsOf(device).emulated);
  const seen = new Map<string, number>();
  return ranked(answer.map((device) => ({ device }))).map(({ device }) => {
    const times = (seen.get(device.name) ?? 0) + 1;
    seen.set(device.name, times);
    return deviceFinding(device, times === 1 ? device.name : `${device.name} (${times})`, hardware);
  });
}

const mebibytes = (bytes: number) => `${Math.round(bytes / 2 ** 20).toLocaleString("en-US")} MiB`;

function deviceFinding(device: OpenClDevice, name: string, hardware: boolean): Finding {
  const { emulated, persistent, reason, unusable } = traitsOf(device);
  const facts = [
    emulated ? "emulated on the CPU: proves correctness, not GPU benefit" : "hardware",
    ...(unusable === undefined
      ? [persistent ? `persistent kernels, zero-copy (${reason})` : `rounds with copies (${reason})`]
      : [`cannot be used: ${unusable}`]),
    `SVM: ${svmKinds(device.svm)}`,
    `OpenCL C ${device.cVersion}`,
    `${device.computeUnits} compute units`,
    `workgroups up to ${device.maxWorkgroupSize}`,
    `local memory ${device.localBytes / 1024} KiB`,
    `global memory ${mebibytes(device.globalBytes)}${device.unifiedMemory ? ", the host's" : ""}, at once ${mebibytes(device.maxAllocBytes)}`,
    `driver ${device.driver}`,
  ];
  const common = {
    area: "devices",
    name: `opencl: ${name}`,
    detail: `${device.platform}; ${facts.join("; ")}`,
    emulated,
  } as const;
  if (unusable !== undefined) return { ...common, state: "limited", remedy: "a newer driver of its vendor" };
  if (!persistent) {
    const remedy =
      "a driver with fine-grain SVM and atomics, where the vendor has one; until then packets are copied, and that is counted";
    return { ...common, state: "limited", remedy };
  }
  if (!emulated) return { ...common, state: "ok" };
  if (hardware) return { ...common, state: "limited" };
  return {
    ...common,
    state: "limited",
    remedy: "where there is a GPU, its vendor's OpenCL package: intel-opencl-icd, mesa-opencl-icd",
  };
}
