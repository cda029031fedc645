/** ipsec-gpu-cases.ts on WebGPU. */
import { casesOn } from "./support/runners.js";

await casesOn("webgpu", () => import("./ipsec-gpu-cases.js"));
