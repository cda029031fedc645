/** nids-gpu-cases.ts on gpu.js, mode cpu. */
import { casesOn } from "./support/runners.js";

await casesOn("gpujs:cpu", () => import("./nids-gpu-cases.js"));
