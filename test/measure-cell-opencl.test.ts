/** measure-cell-cases.ts on OpenCL. */
import { test } from "uvu";
import { measureCases, ON_CPU } from "./measure-cell-cases.js";

measureCases("opencl", { ...ON_CPU, nids: "gpu", router: "gpu" });
test.run();
