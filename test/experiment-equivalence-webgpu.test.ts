/** The equivalence proof on the WebGPU device that is there. */
import { test } from "uvu";
import { equivalenceCases } from "./experiment-equivalence-cases.js";
import { skipUnless } from "./skip.js";
import { deviceLack } from "./support/webgpu.js";

const lack = await deviceLack();
if (lack === undefined) equivalenceCases("webgpu", { kind: "webgpu" }, [["protect", "open"], ["nids"], ["router"]]);
else test("the equivalence proof on WebGPU", () => void skipUnless(false, lack));
test.run();
