/** Random chains on the WebGPU device that is there. */
import { test } from "uvu";
import { randomChainCases } from "./gpu-chain-random-cases.js";
import { skipUnless } from "./skip.js";
import { deviceLack } from "./support/webgpu.js";

const lack = await deviceLack();
if (lack === undefined) randomChainCases("webgpu");
else test("random chains on WebGPU", () => void skipUnless(false, lack));
test.run();
