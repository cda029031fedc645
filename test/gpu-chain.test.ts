/** Chains on the OpenCL device that is there. */
import { test } from "uvu";
import { chainCases } from "./gpu-chain-cases.js";

chainCases("opencl");
test.run();
