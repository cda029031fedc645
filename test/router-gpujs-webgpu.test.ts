/** router-gpu-cases.ts on gpu.js, mode webgpu. */
import { casesOn } from "./support/runners.js";

await casesOn("gpujs:webgpu", () => import("./router-gpu-cases.js"));
