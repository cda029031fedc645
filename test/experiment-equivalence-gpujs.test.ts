/** The equivalence proof on gpu.js. */
import { test } from "uvu";
import { equivalenceCases } from "./experiment-equivalence-cases.js";

equivalenceCases("gpujs", { kind: "gpujs" }, [["nids"], ["router"]]);
test.run();
