/** router-gpu-cases.ts on gpu.js, mode webasm. */
import { casesOn } from "./support/runners.js";

await casesOn("gpujs:webasm", () => import("./router-gpu-cases.js"));
