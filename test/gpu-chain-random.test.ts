/** Random chains on the OpenCL device that is there. */
import { test } from "uvu";
import { randomChainCases } from "./gpu-chain-random-cases.js";

randomChainCases("opencl");
test.run();
