/** nids-gpu-cases.ts on gpu.js, mode webasm. */
import { casesOn } from "./support/runners.js";

await casesOn("gpujs:webasm", () => import("./nids-gpu-cases.js"));
