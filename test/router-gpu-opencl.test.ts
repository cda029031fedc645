/** router-gpu-cases.ts on OpenCL. */
import { casesOn } from "./support/runners.js";

await casesOn("opencl", () => import("./router-gpu-cases.js"));
