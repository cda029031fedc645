/** The paper's own ablations (Hummingbird, section V), each a device or a kernel of its own: no branch in the product's. */
import type { Experiment } from "../experiment.js";
import { atomicsCells } from "./ablation-atomics.js";
import { dummiesCells } from "./ablation-dummies.js";
import { launchCells } from "./ablation-launch.js";
import { orderCells } from "./ablation-order.js";

const ablations: Experiment = {
  name: "device-ablations",
  about: "what each design decision is worth: the product against itself without it",
  cells: (quick) => [...launchCells(quick), ...atomicsCells(quick), ...dummiesCells(), ...orderCells()],
};
export const experiments: readonly Experiment[] = [ablations];
