/** nids-gpu-cases.ts on gpu.js, mode webgpu. */
import { casesOn } from "./support/runners.js";

await casesOn("gpujs:webgpu", () => import("./nids-gpu-cases.js"));
