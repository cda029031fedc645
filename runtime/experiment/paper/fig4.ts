import type { PaperChain } from "./chains.js";
import { type Claim, LARGE, type PaperFigure, type Series, THROUGHPUT, words } from "./figure.js";

const CONFIGURATIONS = ["c1d1", "c2d1", "c1d2", "c2d2"] as const;

function configurations(chain: PaperChain, gpu: readonly string[]): Series[] {
  return CONFIGURATIONS.map((cores) => ({ name: cores, chain, gpu, device: "gpu", cores }));
}

/** Against c1d1. */
function claim(a: (typeof CONFIGURATIONS)[number], small: string, large: string): Claim {
  return {
    ...{ text: `${a} over c1d1`, panel: THROUGHPUT.id, kind: "ratio", a, b: "c1d1" },
    paper: (size) => words(size < LARGE ? small : large),
  };
}

const DIFFERS =
  "both CPUSyncer and I/O cores are threads of one process, and a traffic generator in memory stands for the NIC. The paper's cores are cX " +
  "(CPUSyncer) and dY (I/O), as here";

export const fig4a: PaperFigure = {
  id: "fig4a",
  title: "Cores for CPUSyncer and I/O, one NF on the GPU",
  shows: "IPsec alone on the GPU in the configurations c1d1, c2d1, c1d2, c2d2",
  paper: "Small packets are fastest with c2d2 and gain by a second CPUSyncer; large ones are fastest with c1d1 (V-C).",
  differs: DIFFERS,
  series: configurations("ipsec", ["ipsec"]),
  panels: [THROUGHPUT],
  claims: [claim("c2d1", "above 1", "about 1"), claim("c2d2", "above 1", "below 1")],
  numbers: [],
};

export const fig4b: PaperFigure = {
  id: "fig4b",
  title: "Cores for CPUSyncer and I/O, two NFs on the GPU",
  shows: "IPsec and NIDS on the GPU in the configurations c1d1, c2d1, c1d2, c2d2",
  paper: "Small packets are fastest with c2d1, large ones with c1d1; c1d2 is always below c1d1 (V-C).",
  differs: DIFFERS,
  series: configurations("two", ["ipsec", "nids"]),
  panels: [THROUGHPUT],
  claims: [claim("c2d1", "above 1", "below 1"), claim("c1d2", "below 1", "below 1")],
  numbers: [],
};
