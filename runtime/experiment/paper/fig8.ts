import { type Claim, type PaperFigure, PER_CORE, PER_WATT, words } from "./figure.js";

const GPU = "g-chain";
const CPU = "all on the CPU";

/** The paper's ratios are over G-net, so that they are words here: no number of ours is of the same two things. */
const claims: readonly Claim[] = [
  {
    ...{ text: `${GPU} over ${CPU}, per core`, panel: PER_CORE.id, kind: "ratio", a: GPU, b: CPU },
    paper: (size) => (size === 1472 ? words("6 over G-net") : null),
  },
  {
    ...{ text: `${GPU} over ${CPU}, per watt`, panel: PER_WATT.id, kind: "ratio", a: GPU, b: CPU },
    paper: () => words("3.5 over G-net"),
  },
];

export const fig8: PaperFigure = {
  id: "fig8",
  title: "Throughput of the chain per core and per energy",
  shows: "IPsec, NIDS, router: Gbps per busy CPU core and per watt, on GPU and CPU",
  paper: "At 1472 B six times the throughput per core of G-net, and 3.5 times that per unit of energy (V-G).",
  differs:
    "G-net cannot be run here, so the same chain with all on the CPU stands beside it; cores are processor time of the whole process, an " +
    "emulated device's threads included, where the paper does not say which cores it counts",
  series: [
    { name: GPU, chain: "three", gpu: ["ipsec", "nids"], device: "gpu" },
    { name: "c-chain", chain: "three", gpu: ["ipsec"], device: "gpu" },
    { name: CPU, chain: "three", gpu: [], device: "none" },
  ],
  panels: [PER_CORE, PER_WATT],
  claims,
  numbers: [],
};
