import { test } from "uvu";
import { exitCases, openingCases } from "./device-exit-cases.js";
import { skipUnless } from "./skip.js";
import { deviceLack } from "./support/webgpu.js";

const lack = await deviceLack();
if (lack === undefined) {
  exitCases("webgpu");
  openingCases("webgpu");
  openingCases("gpujs");
} else test("processes with a WebGPU device come to an end", () => void skipUnless(false, lack));
test.run();
