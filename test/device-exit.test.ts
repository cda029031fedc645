import { test } from "uvu";
import { exitCases } from "./device-exit-cases.js";

exitCases("persistent");
exitCases("rounds");
test.run();
