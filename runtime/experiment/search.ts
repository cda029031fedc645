/**
 * Rates without loss, after RFC 2544 (section 26.1, throughput) and what has become of it: NDR, the greatest offered rate at which a trial
 * loses nothing, and PDR, at which it loses half a per cent at most.
 *
 * A busy machine makes trials lose that have nothing to do with the chain: another process took the core for as long as the receive ring
 * lasts. Loss by overload is there in every trial, a hiccup's is not. So a trial that lost is repeated at the same rate, and the rate has
 * failed only when all its trials did; one that passes then counts the earlier ones as hiccups, and the result names them. Near the limit
 * this finds the greatest rate at which a trial can do without loss: RFC 2544's question, asked more than once.
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
  /** Of a trial. */
  readonly timing: Timing;
  /** Rates are told apart down to this, relative; 0.02. */
  readonly resolution?: number;
  /** Trials at a rate before it has failed; 3. */
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
  /** Least rate that failed; null where none did. The limit is between the two. */
  readonly failed_pps: number | null;
  /** True where the two are within the resolution; false where trials ran out. */
  readonly converged: boolean;
  /** Trials that lost at rates where another one then passed: hiccups of the machine. */
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
    // NDR and PDR share the trials, half each: the first leaves the second as much as it had.
    const budget = allowed === 0 ? Math.ceil(this.maxTrials / 2) : this.maxTrials;
    for (;;) {
      const { passed, failed } = this.bracket(allowed);
      const next = this.nextRate(passed, failed);
      if (next === null || !(await this.passes(next, allowed, budget))) {
        if (next === null || this.trials.length >= budget) return this.rate(allowed);
      }
    }
  }

  /** @returns the rate to try; null where the search is over */
  private nextRate(passed: number | null, failed: number | null): number | null {
    if (passed === null && failed === null) return this.saturation;
    if (failed === null) return passed! * GROWTH;
    if (passed === null) {
      const lower =
        failed <= this.saturation * (1 + this.resolution) && failed > this.saturation / GROWTH
          ? failed / GROWTH
          : failed / 2;
      return lower < this.saturation * LEAST_SHARE ? null : lower;
    }
    return failed / passed <= 1 + this.resolution ? null : Math.sqrt(passed * failed);
  }

  private async passes(pps: number, allowed: number, budget: number): Promise<boolean> {
    let tried = this.at(pps).length;
    while (tried < this.attempts && this.trials.length < budget) {
      if (tried > 0) this.repeated++;
      const trial = await this.trial(pps);
      tried++;
      if (trial.loss <= allowed) return true;
    }
    return false;
  }

  private async trial(pps: number): Promise<Trial> {
    const load = { kind: "offered", pps, ring: this.ring } as const;
    const sample = await this.runner.measure(this.cell, load, this.options.timing, this.options.repeat ?? 0);
    const trial = { pps, loss: lossOf(sample, pps, this.ring), sample };
    this.trials.push(trial);
    this.options.onTrial?.(trial);
    return trial;
  }

  private at(pps: number): Trial[] {
    return this.trials.filter((trial) => trial.pps === pps);
  }

  /** Greatest rate that passed, and least rate above it at which every trial, and enough of them, lost. */
  private bracket(allowed: number): { readonly passed: number | null; readonly failed: number | null } {
    const rates = [...new Set(this.trials.map(({ pps }) => pps))].sort((a, b) => a - b);
    const passed = rates.filter((pps) => this.at(pps).some(({ loss }) => loss <= allowed)).at(-1) ?? null;
    const failed = rates.find((pps) => {
      const trials = this.at(pps);
      return pps > (passed ?? 0) && trials.length >= this.attempts && trials.every(({ loss }) => loss > allowed);
    });
    return { passed, failed: failed ?? null };
  }

  private rate(allowed: number): Rate {
    const { passed: pps, failed } = this.bracket(allowed);
    const good = pps === null ? undefined : this.at(pps).find(({ loss }) => loss <= allowed);
    return {
      pps,
      gbps: good?.sample.gbps ?? null,
      loss: allowed,
      failed_pps: failed,
      converged: pps !== null && failed !== null && failed / pps <= 1 + this.resolution,
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
