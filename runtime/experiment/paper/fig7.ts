import { DUMMIES, type PaperFigure, THROUGHPUT, words } from "./figure.js";

const EVEN = "f1 50 %, f2 50 %";
const UNEVEN = "f1 93 %, f2 7 %";
const GPU = ["ipsec", "nids"];

export const fig7: PaperFigure = {
  id: "fig7",
  title: "Dynamic chain: packets of one kind pass by the NIDS",
  shows: "f1 through IPsec (GPU), NIDS (GPU), router (CPU), f2 without the NIDS; f1 is 50 % or 93 % of the packets",
  paper: "With more f2 there are more dummies; 93/7 is faster than 50/50 by no more than 0.7 Gbps (V-F).",
  differs:
    "f1 and f2 are told apart by destination address as in the paper, and are 1000 flows together instead of two",
  series: [
    { name: EVEN, chain: "mix-50-50", gpu: GPU, device: "gpu" },
    { name: UNEVEN, chain: "mix-93-7", gpu: GPU, device: "gpu" },
  ],
  panels: [THROUGHPUT, DUMMIES],
  claims: [
    {
      ...{ text: "93/7 less 50/50, Gbps", panel: THROUGHPUT.id, kind: "difference", a: UNEVEN, b: EVEN },
      paper: () => words("0 to 0.7"),
    },
    {
      ...{
        text: "93/7 less 50/50, dummies in % of entries",
        panel: DUMMIES.id,
        kind: "difference",
        a: UNEVEN,
        b: EVEN,
      },
      paper: () => words("below 0"),
    },
  ],
  numbers: [],
};
