/**
 * Rates without loss, after RFC 2544 (section 26.1, throughput) and what has become of it: NDR, the greatest offered rate at which a trial
 * loses nothing, and PDR, at which it loses half a per cent at most.
 *
 * A busy machine makes trials lose that have nothing to do with the chain: another process took the core for as long as the receive ring
 * lasts. Loss by overload is there in every trial, a hiccup's is not. So a trial that lost is repeated, and its rate has failed when most
 * of the attempts lost (two of three). On the way a rate counts as passed with its first good trial; the rate the search ends at has to
 * pass most of its attempts as well, else it has failed and the search goes on below. Trials that lost at rates up to the one found are
 * counted as hiccups and named in the result: RFC 2544 would have failed the rate for one of them.
 */
import { type Cell, type Load, type Runner, RX_RING, type Sample, type Timing } from "./cell.js";

/** Of PDR. */
export const PARTIAL_LOSS = 0.005;
/** Shares of NDR at which latency is measured. */
export const LATENCY_SHARES = [0.5, 0.8, 0.95] as const;

/** A packet generator that is late by more than this has not offered the rate. */
const OFFERED = 0.01;
/** A bracket grows, or falls, by this much. */
const GROWTH = 1.25;
/** Below this share of the saturation rate nothing is tried: where it loses there, the machine is what loses. */
const LEAST_SHARE = 1 / 64;

export interface SearchOptions {
  /** Of a trial: with a warm-up that fills the ring where the chain is too slow, else a short window hides as much loss as it holds. */
  readonly timing: Timing;
  /** Rates are told apart down to this, relative; 0.02. */
  readonly resolution?: number;
  /** Trials at a rate, at most; the majority decides. 3 */
  readonly attempts?: number;
  /** Trials of NDR and PDR together, at most; 60. */
  readonly maxTrials?: number;
  /** Descriptors of the receive ring; {@link RX_RING}. */
  readonly ring?: number;
  /** Repeat number of the samples; 0. */
  readonly repeat?: number;
  /** Called after each trial. */
  readonly onTrial?: (trial: Trial) => void;
}

export interface Trial {
  readonly pps: number;
  /** Lost packets over offered ones; packets a late generator did not offer count as lost. */
  readonly loss: number;
  readonly sample: Sample;
}

export interface Rate {
  /** Packets per second; null: loses more at every rate that was tried. */
  readonly pps: number | null;
  /** Frame bits per second / 1e9 received at this rate, layer 2 without FCS; null where `pps` is. */
  readonly gbps: number | null;
  /** Loss allowed: 0 for NDR. */
  readonly loss: number;
  /** Least rate above it that failed; null where none did. The limit is between the two. */
  readonly failed_pps: number | null;
  /** True where the two are within the resolution, and most trials at `pps` passed; false where trials ran out. */
  readonly converged: boolean;
  /** Trials at `pps` and below that lost: hiccups of the machine. */
  readonly hiccups: number;
}

export interface SearchResult {
  readonly ndr: Rate;
  readonly pdr: Rate;
  /** Where the search began: packets per second. */
  readonly saturation_pps: number;
  readonly trials: readonly Trial[];
  /** Trials that repeated one that had lost. */
  readonly repeated: number;
}

/**
 * NDR and PDR of a cell by bisection from its saturation rate. A trial serves both.
 *
 * @param saturationPps rate the cell takes packets at when offered all it can take: where to begin, not a bound
 * @throws RangeError where the saturation rate is not above 0 @throws what the runner throws
 */
export async function searchRates(
  runner: Runner,
  cell: Cell,
  saturationPps: number,
  options: SearchOptions,
): Promise<SearchResult> {
  if (!(saturationPps > 0 && saturationPps < Infinity)) {
    throw new RangeError(`a search has to begin at a rate above 0, not ${saturationPps} pps`);
  }
  const search = new Search(runner, cell, saturationPps, options);
  // PDR is not below NDR: what is known of one bounds the other.
  const ndr = await search.find(0);
  const pdr = await search.find(PARTIAL_LOSS);
  return { ndr, pdr, saturation_pps: saturationPps, trials: search.trials, repeated: search.repeated };
}

/** Latency is measured under these: 50, 80 and 95 % of NDR. */
export function latencyLoads(ndrPps: number, ring = RX_RING): Load[] {
  return LATENCY_SHARES.map((share) => ({ kind: "offered", pps: Math.floor(ndrPps * share), ring }));
}

/**
 * Latency at 50, 80 and 95 % of NDR, open loop, in turns.
 * @returns samples by repeat, then load
 */
export async function measureLatency(
  runner: Runner,
  cell: Cell,
  ndrPps: number,
  { timing, repeats, ring = RX_RING }: { readonly timing: Timing; readonly repeats: number; readonly ring?: number },
): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const load of latencyLoads(ndrPps, ring)) samples.push(await runner.measure(cell, load, timing, repeat));
  }
  return samples;
}

class Search {
  readonly trials: Trial[] = [];
  repeated = 0;
  private readonly resolution: number;
  private readonly attempts: number;
  private readonly maxTrials: number;
  private readonly ring: number;

  constructor(
    private readonly runner: Runner,
    private readonly cell: Cell,
    private readonly saturation: number,
    private readonly options: SearchOptions,
  ) {
    this.resolution = options.resolution ?? 0.02;
    this.attempts = options.attempts ?? 3;
    this.maxTrials = options.maxTrials ?? 60;
    this.ring = options.ring ?? RX_RING;
    for (const [name, value] of Object.entries({
      resolution: this.resolution,
      attempts: this.attempts,
      maxTrials: this.maxTrials,
    })) {
      if (!(value > 0)) throw new RangeError(`${name} of a search is ${value}, not above 0`);
    }
  }

  /** The greatest rate that passes, to the resolution. */
  async find(allowed: number): Promise<Rate> {
    // NDR has half of the trials, PDR what is left.
    const budget = allowed === 0 ? Math.ceil(this.maxTrials / 2) : this.maxTrials;
    for (;;) {
      const next = this.next(allowed);
      if (next === null || this.trials.length >= budget) return this.rate(allowed);
      await this.trial(next);
    }
  }

  /** @returns the rate to try; null where the search is over */
  private next(allowed: number): number | null {
    // A rate whose first trial lost is tried until it is known.
    const open = this.rates().find((pps) => this.standing(pps, allowed) === "open");
    const { passed, failed } = this.bracket(allowed);
    if (open !== undefined && open > (passed ?? 0) && open < (failed ?? Infinity)) return open;
    const rate = this.between(passed, failed);
    if (rate !== null) return rate;
    return passed !== null && this.standing(passed, allowed) === "passed" ? passed : null;
  }

  /** @returns a rate to narrow the bracket with; null where it is narrow enough, or nothing passes */
  private between(passed: number | null, failed: number | null): number | null {
    if (passed === null && failed === null) return Math.ceil(this.saturation);
    if (failed === null) return Math.ceil(passed! * GROWTH);
    if (passed === null) {
      // Just below the saturation rate first: most chains lose nothing there.
      const lower = Math.round(failed >= this.saturation ? failed / GROWTH : failed / 2);
      return lower < this.saturation * LEAST_SHARE || lower < 1 ? null : lower;
    }
    if (failed / passed <= 1 + this.resolution) return null;
    const middle = Math.round(Math.sqrt(passed * failed));
    return middle > passed && middle < failed ? middle : null;
  }

  private async trial(pps: number): Promise<void> {
    if (this.at(pps).some(({ loss }) => loss > 0)) this.repeated++;
    const load = { kind: "offered", pps, ring: this.ring } as const;
    const sample = await this.runner.measure(this.cell, load, this.options.timing, this.options.repeat ?? 0);
    const trial = { pps, loss: lossOf(sample, pps, this.ring), sample };
    this.trials.push(trial);
    this.options.onTrial?.(trial);
  }

  /** Tried rates, ascending. */
  private rates(): number[] {
    return [...new Set(this.trials.map(({ pps }) => pps))].sort((a, b) => a - b);
  }

  private at(pps: number): Trial[] {
    return this.trials.filter((trial) => trial.pps === pps);
  }

  /** failed, confirmed: most attempts lost, or passed. passed: one did so far. open: none did so far. */
  private standing(pps: number, allowed: number): "failed" | "confirmed" | "passed" | "open" {
    const majority = Math.floor(this.attempts / 2) + 1;
    const trials = this.at(pps);
    const passes = trials.filter(({ loss }) => loss <= allowed).length;
    if (trials.length - passes >= majority) return "failed";
    if (passes >= majority) return "confirmed";
    return passes > 0 ? "passed" : "open";
  }

  /** Greatest rate that passed, and least rate above it that failed. */
  private bracket(allowed: number): { readonly passed: number | null; readonly failed: number | null } {
    const rates = this.rates();
    const passes = (pps: number) => ["passed", "confirmed"].includes(this.standing(pps, allowed));
    const passed = rates.filter(passes).at(-1) ?? null;
    const failed = rates.find((pps) => pps > (passed ?? 0) && this.standing(pps, allowed) === "failed");
    return { passed, failed: failed ?? null };
  }

  private rate(allowed: number): Rate {
    const { passed: pps, failed } = this.bracket(allowed);
    const good = pps === null ? undefined : this.at(pps).find(({ loss }) => loss <= allowed);
    const confirmed = pps !== null && this.standing(pps, allowed) === "confirmed";
    return {
      pps,
      gbps: good?.sample.gbps ?? null,
      loss: allowed,
      failed_pps: failed,
      converged: confirmed && failed !== null && this.between(pps, failed) === null,
      hiccups: this.trials.filter((trial) => trial.loss > allowed && pps !== null && trial.pps <= pps).length,
    };
  }
}

function lossOf({ loss, packets, seconds }: Sample, pps: number, ring: number): number {
  const due = pps * seconds;
  // What the ring holds when the window ends was offered, and is not lost.
  const absent = due - packets.rx - packets.missed - ring;
  return absent > OFFERED * due ? Math.max(loss, (absent + packets.missed) / due) : loss;
}
