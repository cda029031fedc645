/** Chains on the WebGPU device that is there. */
import { test } from "uvu";
import { chainCases } from "./gpu-chain-cases.js";
import { skipUnless } from "./skip.js";
import { deviceLack } from "./support/webgpu.js";

const lack = await deviceLack();
if (lack === undefined) chainCases("webgpu");
else test("chains on WebGPU", () => void skipUnless(false, lack));
test.run();
