/** Rounds on an OpenCL device, on request on any. */
import { test } from "uvu";
import { roundsCases } from "./device-rounds-cases.js";

roundsCases({ mode: "rounds" });
test.run();
