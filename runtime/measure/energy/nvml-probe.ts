/** Asks NVIDIA's driver what it measures and prints the finding: `node nvml-probe.js PATH`. A process of its own (findings.ts starts it). */
import { findNvml } from "./nvml.js";

process.stdout.write(`\n${JSON.stringify(findNvml(process.argv[2]).finding)}\n`);
