/** What doctor says of WebGPU: each adapter Dawn accepts, hardware or emulated, with its limits; else why there is none. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import { ask } from "../../native/ask.js";
import { type Finding, PROGRAM } from "../../native/finding.js";
import type { AdapterFacts } from "./adapter.js";
import { systemDrivers } from "./library.js";

const WEBGPU: Pick<Finding, "area" | "name"> = { area: "devices", name: "WebGPU" };
const INSTALL = `${PROGRAM} doctor --install`;

export async function webGpuFindings(): Promise<Finding[]> {
  const folders = createRequire(import.meta.url).resolve.paths("webgpu") ?? [];
  const there = folders.some((folder) => existsSync(join(folder, "webgpu", "package.json")));
  if (!there) return [{ ...WEBGPU, state: "missing", detail: "the npm package webgpu is not there", remedy: "npm ci" }];
  return adapterFindings(await ask<AdapterFacts[]>(new URL("./probe.js", import.meta.url)), systemDrivers());
}

/**
 * @param answer what probe.ts answered, or why it did not
 * @param drivers manifests of the system's Vulkan drivers
 */
export function adapterFindings(answer: readonly AdapterFacts[] | Error, drivers: readonly string[]): Finding[] {
  if (answer instanceof Error) {
    const remedy = `${INSTALL}, or take the driver that fails out of what Vulkan finds (VK_DRIVER_FILES)`;
    return [{ ...WEBGPU, state: "limited", detail: `cannot be used: ${answer.message}`, remedy }];
  }
  const refused =
    drivers.length === 0 ? "there is none" : `it refuses ${drivers.map((path) => basename(path)).join(", ")}`;
  if (answer.length === 0) {
    const detail = `Dawn needs a Vulkan driver, and ${refused}`;
    return [{ ...WEBGPU, state: "missing", detail, remedy: `${INSTALL} (brings SwiftShader, which emulates one)` }];
  }
  const hardware = answer.some(({ emulated }) => !emulated);
  return answer.map((facts) => {
    const { name, emulated } = facts;
    const common = { area: "devices", name: `webgpu: ${name}`, detail: details(facts), emulated } as const;
    if (!emulated) return { ...common, state: "ok" };
    if (hardware) return { ...common, state: "limited" };
    const remedy = `where there is a GPU, a Vulkan driver for it that Dawn accepts (${refused}): its vendor's, or a newer mesa-vulkan-drivers`;
    return { ...common, state: "limited", remedy };
  });
}

function details({ emulated, driver, maxBinding, maxBuffer, maxWorkgroupSize, workgroupMemory }: AdapterFacts): string {
  return [
    emulated ? "emulated on the CPU: proves correctness, not GPU benefit" : "hardware",
    "rounds with copies (WebGPU has no memory that both sides see at once)",
    `buffers up to ${Math.round(Math.min(maxBinding, maxBuffer) / 2 ** 20).toLocaleString("en-US")} MiB`,
    `workgroups up to ${maxWorkgroupSize}`,
    `workgroup memory ${workgroupMemory / 1024} KiB`,
    ...(driver === "" ? [] : [driver]),
  ].join("; ");
}
