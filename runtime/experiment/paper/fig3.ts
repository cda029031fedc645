import type { Sample } from "../cell.js";
import { number, type Panel, type PaperFigure, THROUGHPUT } from "./figure.js";

const PERSISTENT = "zero-copy, persistent";
const COPIES = "copies, a launch per batch";

/** A device that has no persistent kernels serves the request by rounds, and would be compared with itself. */
const throughput: Panel = {
  ...THROUGHPUT,
  unfit: (samples) => THROUGHPUT.unfit(samples) ?? lacking(samples),
};

function lacking(samples: readonly Sample[]): string | null {
  const wrong = samples.some(({ cell, device }) => !cell.device.endsWith(":rounds") && device?.persistent === false);
  return wrong ? "this device runs no persistent kernels" : null;
}

export const fig3: PaperFigure = {
  id: "fig3",
  title: "Zero-copy persistent kernel against packet copies with a launch per batch",
  shows: "NIDS alone on the GPU: resident kernel over shared memory, and launches with copies",
  paper: "A zero-copy persistent kernel has ten times the throughput of launches with copies (V-A).",
  differs:
    "the paper's program is synthetic and not described; here it is the NIDS alone, whose packets a launch copies there and back. gpu.js " +
    "is a third way to launch with copies",
  series: [
    { name: PERSISTENT, chain: "nids", gpu: ["nids"], device: "persistent" },
    { name: COPIES, chain: "nids", gpu: ["nids"], device: "rounds" },
    { name: "copies, gpu.js", chain: "nids", gpu: ["nids"], device: "gpujs" },
  ],
  panels: [throughput],
  claims: [
    {
      ...{ text: "persistent over copies", panel: throughput.id, kind: "ratio", a: PERSISTENT, b: COPIES },
      paper: () => number(10),
    },
  ],
  numbers: [],
};
