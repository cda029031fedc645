/** router-gpu-cases.ts on WebGPU. */
import { casesOn } from "./support/runners.js";

await casesOn("webgpu", () => import("./router-gpu-cases.js"));
