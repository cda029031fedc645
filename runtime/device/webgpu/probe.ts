/** Prints the WebGPU adapters of this machine as one line of JSON. A process of its own (see native/ask.ts): doctor starts it. */
import { type AdapterFacts, listAdapters } from "./adapter.js";
import { prepareVulkan } from "./library.js";

prepareVulkan();
const adapters: AdapterFacts[] = (await listAdapters()).map(({ facts }) => facts);
process.stdout.write(`\n${JSON.stringify(adapters)}\n`);
