import { number, type PaperFigure, THROUGHPUT, words } from "./figure.js";

/** At this size the text has numbers. */
const SIZE = 1472;
const PAPER = { g: 8.46, c: 1.9 };

export const fig6: PaperFigure = {
  id: "fig6",
  title: "Static chain: NIDS on the GPU too (g-chain), or on the CPU (c-chain)",
  shows: "IPsec, NIDS, router: g-chain with two NFs on the GPU against c-chain with IPsec alone there",
  paper: "The g-chain is always above the c-chain; at 1472 B 8.46 against 1.9 Gbps (V-E).",
  differs: "the NIDS scans what IPsec has encrypted, as in the paper's order, so that it finds next to nothing",
  series: [
    { name: "g-chain", chain: "three", gpu: ["ipsec", "nids"], device: "gpu" },
    { name: "c-chain", chain: "three", gpu: ["ipsec"], device: "gpu" },
  ],
  panels: [THROUGHPUT],
  claims: [
    {
      ...{ text: "g-chain over c-chain", panel: THROUGHPUT.id, kind: "ratio", a: "g-chain", b: "c-chain" },
      paper: (size) => (size === SIZE ? number(PAPER.g / PAPER.c, (PAPER.g / PAPER.c).toFixed(2)) : words("above 1")),
    },
  ],
  numbers: [
    { panel: THROUGHPUT.id, series: "g-chain", size: SIZE, value: PAPER.g },
    { panel: THROUGHPUT.id, series: "c-chain", size: SIZE, value: PAPER.c },
  ],
};
