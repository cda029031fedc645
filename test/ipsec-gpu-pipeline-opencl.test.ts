/** ipsec-gpu-pipeline-cases.ts on OpenCL. */
import { casesOn } from "./support/runners.js";

await casesOn("opencl", () => import("./ipsec-gpu-pipeline-cases.js"));
