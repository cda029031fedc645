/** Prints the OpenCL devices of this machine as one line of JSON. A process of its own (see ask.ts): doctor starts it. */
import { openCl } from "./library.js";
import { listDevices, type OpenClDevice } from "./platform.js";

const devices: OpenClDevice[] = listDevices(openCl()).map((found) => found.device);
process.stdout.write(`\n${JSON.stringify(devices)}\n`);
