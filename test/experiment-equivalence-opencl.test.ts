/** The equivalence proof on the OpenCL device that is there, with the persistent kernel and with rounds. */
import { test } from "uvu";
import { equivalenceCases } from "./experiment-equivalence-cases.js";

equivalenceCases("opencl, persistent", { kind: "opencl" }, [["protect", "open"], ["nids"], ["router"]]);
equivalenceCases("opencl, rounds", { kind: "opencl", mode: "rounds" }, [["open"], ["nids"]]);
test.run();
