import { type Claim, LATENCY, type PaperFigure, THROUGHPUT, words } from "./figure.js";

/** "IPsec", "NIDS": GPU and CPU. */
const both = (name: string) => ({ gpu: `${name} (GPU)`, cpu: `${name} (CPU)` });
const IPSEC = both("IPsec");
const NIDS = both("NIDS");

function claims({ gpu, cpu }: { readonly gpu: string; readonly cpu: string }): Claim[] {
  return [
    {
      ...{ text: `${gpu} over ${cpu}, throughput`, panel: THROUGHPUT.id, kind: "ratio", a: gpu, b: cpu },
      paper: () => words("far above 1"),
    },
    {
      ...{ text: `${cpu} over ${gpu}, latency`, panel: LATENCY.id, kind: "ratio", a: cpu, b: gpu },
      paper: () => words("up to 5.9"),
    },
  ];
}

export const fig5: PaperFigure = {
  id: "fig5",
  title: "What each NF reaches by itself",
  shows:
    "IPsec and NIDS on the GPU and on the CPU, the router on the CPU, each alone; latency of the CPU against the GPU",
  paper: "On the GPU throughput far exceeds that on the CPU, and average latency is up to 5.9 times lower (V-D).",
  differs:
    "latency is the median, from the intended sending time, at half of the rate that the slower of the two places takes; the paper does not say " +
    "at which load its averages are. APUNet, which the paper also plots, cannot be run here",
  series: [
    { name: IPSEC.gpu, chain: "ipsec", gpu: ["ipsec"], device: "gpu" },
    { name: IPSEC.cpu, chain: "ipsec", gpu: [], device: "none" },
    { name: NIDS.gpu, chain: "nids", gpu: ["nids"], device: "gpu" },
    { name: NIDS.cpu, chain: "nids", gpu: [], device: "none" },
    { name: "Router (CPU)", chain: "router", gpu: [], device: "none" },
  ],
  panels: [THROUGHPUT, LATENCY],
  claims: [...claims(IPSEC), ...claims(NIDS)],
  numbers: [],
  withoutGpu: true,
};
