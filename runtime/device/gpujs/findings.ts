/** What doctor says of gpu.js. */
import { createRequire } from "node:module";
import type { Finding } from "../../native/finding.js";
import { GPUJS_MODES } from "./compile.js";

export function gpuJsFinding(): Finding {
  const finding = { area: "devices", name: "gpujs" } as const;
  try {
    const { version } = createRequire(import.meta.url)("gpu.js/package.json") as { version: string };
    const detail =
      `gpu.js ${version}; modes ${GPUJS_MODES.join(", ")}; a launch per batch with copies, no ESP; webasm and cpu run on the CPU: ` +
      "for NFs written as a plain function and for comparison";
    return { ...finding, state: "ok", detail, emulated: true };
  } catch {
    return { ...finding, state: "missing", detail: "the npm package gpu.js is not here", remedy: "npm ci" };
  }
}
