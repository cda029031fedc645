/** What a kind of meter implements: spans of one meter. recorder.ts makes an EnergyRecorder of one or more of them. */
import type { Accumulator, Used } from "./accumulate.js";
import type { DomainInfo, MeterInfo } from "./meter.js";

/** ms that never run backwards. */
export type Clock = () => number;

/**
 * What a meter's energy includes. Meters are added up only where these differ: a discrete card's power does not pass through the
 * processor's package, but an outlet's, a battery's or a platform's meter sees everything.
 */
export type Coverage = "machine" | "processor" | "gpu-nvidia" | "gpu";

export interface SpanUsed {
  readonly readings: number;
  /** In the order of `info.domains`. */
  readonly domains: readonly Used[];
}

/** A meter that has been opened and answers. */
export interface Source {
  readonly covers: readonly Coverage[];
  /** Fixed, but for the interval and note of meters that send when they like. */
  readonly info: MeterInfo;
  /** A span begins. @throws RunError where the meter does not answer */
  begin(): void;
  /** Called every `info.intervalMs` or so within a span. @throws RunError */
  poll(): void;
  /** The span ends now. @throws RunError where the meter stopped answering */
  end(): SpanUsed;
  close(): void;
}

export interface Channel {
  readonly domain: DomainInfo;
  readonly accumulator: Accumulator;
  /** @returns counts or watts, as the accumulator takes them @throws RunError */
  read(): number;
}

/** A meter that answers when it is asked. */
export class PolledSource implements Source {
  readonly info: MeterInfo;
  private readings = 0;

  constructor(
    info: Omit<MeterInfo, "domains">,
    readonly covers: readonly Coverage[],
    private readonly channels: readonly Channel[],
    private readonly clock: Clock,
    private readonly onClose: () => void = () => {},
  ) {
    this.info = { ...info, domains: channels.map((channel) => channel.domain) };
  }

  begin(): void {
    for (const { accumulator, read } of this.channels) {
      // The clock stands in the middle: a read may sleep (fam15h_power does, for its averaging interval).
      const before = this.clock();
      const value = read();
      accumulator.start((before + this.clock()) / 2, value);
    }
    this.readings = 1;
  }

  poll(): void {
    for (const { accumulator, read } of this.channels) {
      const before = this.clock();
      const value = read();
      accumulator.add((before + this.clock()) / 2, value);
    }
    this.readings++;
  }

  end(): SpanUsed {
    this.poll();
    return { readings: this.readings, domains: this.channels.map(({ accumulator }) => accumulator.used()) };
  }

  close(): void {
    this.onClose();
  }
}
