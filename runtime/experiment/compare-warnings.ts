/** What qualifies the figures of a comparison, a line each, the gravest first. */
import type { Sample } from "./cell.js";
import type { Measured } from "./compare-measure.js";
import { sizeName } from "./compare-plan.js";
import type { CellResult, ComparePlan } from "./compare-result.js";

/** Figures of one cell that differ by more than this share are called noisy. */
const MOST_SPREAD = 0.2;
/** Below it an interval supposes more than one would like: see medianEstimate. */
const ENOUGH_REPEATS = 6;
/** Share of the packets whose drop is told. */
const TOLD_DROPS = 0.01;

export function compareWarnings(
  plan: ComparePlan,
  cells: readonly CellResult[],
  samples: readonly Sample[],
  { searches }: Pick<Measured, "searches">,
  disturbances: readonly string[],
): string[] {
  return [
    ...emulation(cells),
    ...disturbances,
    ...noise(cells),
    ...drops(samples),
    ...energy(cells),
    ...repeats(plan),
    ...plan.left_out.map(({ what, why }) => `left out: ${what}: ${why}`),
    ...unfound(cells, searches),
    ...hiccups(cells),
  ];
}

function emulation(cells: readonly CellResult[]): string[] {
  const names = new Set(cells.flatMap(({ device }) => (device?.emulated === true ? [device.name] : [])));
  if (names.size === 0) return [];
  const they = names.size === 1 ? "is emulated on the CPU" : "are emulated on the CPU";
  return [`${[...names].join(", ")} ${they}: figures prove that the comparison works, and say nothing about a GPU`];
}

function noise(cells: readonly CellResult[]): string[] {
  const noisy = cells.filter(({ spread }) => spread > MOST_SPREAD);
  if (noisy.length === 0) return [];
  const [worst] = [...noisy].sort((a, b) => b.spread - a.spread);
  const { name, cell, spread } = worst!;
  return [
    `noisy: throughput of ${noisy.length} of ${cells.length} cells spreads by more than ${100 * MOST_SPREAD} % of its median, ` +
      `most of all ${name} at ${sizeName(cell.size)} (${Math.round(100 * spread)} %)`,
  ];
}

/** By NF and reason: the cell that lost most by it. */
function drops(samples: readonly Sample[]): string[] {
  const worst = new Map<string, { nf: string; reason: string; share: number; where: string }>();
  for (const sample of samples) {
    // Drops are of the whole run, which is longer than the window: a share of what came to an end.
    const { tx, dropped } = sample.packets;
    const all = sample.drops.reduce((sum, one) => sum + one.packets, 0);
    const share = tx + dropped === 0 ? 0 : dropped / (tx + dropped);
    for (const { nf, reason, packets } of sample.drops) {
      const part = all === 0 ? 0 : (share * packets) / all;
      const key = `${nf}: ${reason}`;
      if (part < TOLD_DROPS || part <= (worst.get(key)?.share ?? 0)) continue;
      worst.set(key, { nf, reason, share: part, where: sizeName(sample.cell.size) });
    }
  }
  return [...worst.values()].map(({ nf, reason, share, where }) => {
    const line = `${nf} dropped ${(100 * share).toPrecision(2)} % of the packets at ${where} (${reason})`;
    return reason === "replayed" ? `${line}: ${REPLAYED}` : line;
  });
}

const REPLAYED =
  "the input is played again and again, and an inbound SA takes each sequence number once; figures are of a chain that drops them " +
  "(replay_window 0 in the SA turns that off)";

function energy(cells: readonly CellResult[]): string[] {
  if (cells.some((cell) => cell.energy?.provenance === "nominal")) {
    return ["energy is nominal, not measured: no verdict on Gbps/W"];
  }
  if (cells.length > 0 && cells.every((cell) => cell.energy === null)) return ["no energy meter was running"];
  return [];
}

function repeats(plan: ComparePlan): string[] {
  if (plan.repeats >= ENOUGH_REPEATS) return [];
  const quick = plan.quick ? "--quick: " : "";
  return [
    `${quick}${plan.repeats === 1 ? "1 repeat is" : `${plan.repeats} repeats are`} few; a full comparison finds smaller differences`,
  ];
}

function unfound(cells: readonly CellResult[], searches: Measured["searches"]): string[] {
  const without = cells.filter(({ key, ndr }) => ndr === null && searches.has(key));
  if (without.length === 0) return [];
  const names = without.map(({ name, cell }) => `${name} at ${sizeName(cell.size)}`).join("; ");
  return [`no NDR, and no latency under load: at every rate tried most trials lost packets: ${names}`];
}

function hiccups(cells: readonly CellResult[]): string[] {
  const all = cells.reduce((sum, { ndr }) => sum + (ndr?.hiccups ?? 0), 0);
  if (all === 0) return [];
  return [`the machine stalled in ${all} trial${all === 1 ? "" : "s"} of the rate search, which passed when repeated`];
}
