/** Takes samples one by one: from what is kept where they are there, else from the chain; keeps them, tells how far it is, stops when asked. */
import type { Cell, Load, Runner, Sample, Timing } from "./cell.js";
import { sampleKey } from "./cell.js";
import type { SampleStore } from "./sample-store.js";

/** Thrown where somebody asked to stop: everything taken until then is kept. */
export class Stopped extends Error {
  override readonly name = "Stopped";
}

export interface Progress {
  readonly done: number;
  /** As far as it is known: searches take as many trials as they need. */
  readonly planned: number;
  /** Seconds, from the samples taken by this process; undefined before the first. */
  readonly secondsLeft: number | undefined;
  /** What is measured now. */
  readonly what: string;
}

/** How the newest samples weigh in what a sample takes. */
const NEWEST = 0.1;

export class Measurements {
  /** Samples that are there, and all there will be. */
  done = 0;
  planned = 0;
  private seconds: number | undefined;

  /**
   * @param signal ends the sample under way, which the runner gives up, and lets no other begin
   * @param show is told before each sample that has to be taken
   */
  constructor(
    private readonly runner: Runner,
    private readonly store: SampleStore,
    private readonly timing: Timing,
    private readonly signal: AbortSignal,
    private readonly show: (progress: Progress) => void,
  ) {}

  /**
   * @throws Stopped where somebody asked to stop; RunError where the chain or its device fails, or the sample cannot be kept
   */
  async take(cell: Cell, load: Load, repeat: number, what: string): Promise<Sample> {
    const kept = this.store.get(sampleKey(cell, load), repeat);
    if (kept !== undefined) {
      this.done++;
      return kept;
    }
    if (this.signal.aborted) throw new Stopped();
    this.tell(what);
    const began = performance.now();
    const sample = await this.runner.measure(cell, load, this.timing, repeat).catch((error: unknown) => {
      throw this.signal.aborted ? new Stopped() : error;
    });
    this.store.add(sample);
    const seconds = (performance.now() - began) / 1000;
    this.seconds = this.seconds === undefined ? seconds : this.seconds + NEWEST * (seconds - this.seconds);
    this.done++;
    return sample;
  }

  tell(what: string): void {
    const { done, planned, seconds } = this;
    this.show({ done, planned, secondsLeft: seconds === undefined ? undefined : seconds * (planned - done), what });
  }
}
