/** Spans of energy, from one meter or several that are added up. */
import { setTimeout as delay } from "node:timers/promises";
import type { DomainEnergy, EnergyRecorder, EnergySpan, MeterInfo } from "./meter.js";
import type { Clock, Source } from "./source.js";

/** Meters that send very often are looked at no more often than this, ms. */
const SHORTEST_MS = 20;
/** Idle is measured over so many readings at least. */
const IDLE_READINGS = 3;

interface Idle {
  readonly watts: number;
  readonly uncertainty: number;
  readonly domains: readonly number[];
}

export class SourceRecorder implements EnergyRecorder {
  private timers: NodeJS.Timeout[] = [];
  private startMs = Number.NaN;
  private error: unknown;
  private idle: Idle | undefined;

  /** @param sources that cover different things; they are closed with the recorder */
  constructor(
    private readonly sources: readonly Source[],
    private readonly clock: Clock,
    private readonly wait: (ms: number) => Promise<void> = delay,
  ) {}

  get info(): MeterInfo {
    return sumOf(this.sources.map(({ info }) => info));
  }

  start(): void {
    if (this.timers.length > 0) throw new Error("a span of this recorder is under way");
    this.error = undefined;
    const before = this.clock();
    for (const source of this.sources) source.begin();
    // Readings take time, some of them ms: a span is from the middle of the first ones to the middle of the last.
    this.startMs = (before + this.clock()) / 2;
    this.timers = this.sources.map((source) => {
      const timer = setInterval(() => this.poll(source), Math.max(SHORTEST_MS, source.info.intervalMs));
      return timer.unref();
    });
  }

  private poll(source: Source): void {
    try {
      source.poll();
    } catch (error) {
      // There is nobody to tell before stop().
      this.error ??= error;
      this.quiet();
    }
  }

  private quiet(): void {
    for (const timer of this.timers) clearInterval(timer);
  }

  stop(): EnergySpan {
    if (this.timers.length === 0) throw new Error("no span of this recorder is under way");
    this.quiet();
    this.timers = [];
    if (this.error !== undefined) throw this.error;
    const before = this.clock();
    const used = this.sources.map((source) => source.end());
    const seconds = ((before + this.clock()) / 2 - this.startMs) / 1000;
    const { info, idle } = this;
    const all = used.flatMap((one) => one.domains);
    const domains = info.domains.map((domain, i): DomainEnergy => {
      const joules = all[i]!.joules;
      return { ...domain, joules, ...(idle === undefined ? {} : { idle_watts: idle.domains[i]! }) };
    });
    const counted = info.domains.flatMap(({ within }, i) => (within === null ? [all[i]!] : []));
    const total = (key: "joules" | "uncertainty") => counted.reduce((sum, one) => sum + one[key], 0);
    return {
      meter: info,
      seconds,
      joules: total("joules"),
      uncertainty_joules: total("uncertainty"),
      readings: used.reduce((sum, { readings }) => sum + readings, 0),
      domains,
      idle_watts: idle?.watts ?? null,
      ...(idle === undefined ? {} : { idle_uncertainty_watts: idle.uncertainty }),
    };
  }

  async measureIdle(ms: number): Promise<void> {
    this.idle = undefined;
    this.start();
    await this.wait(Math.max(ms, IDLE_READINGS * this.info.intervalMs));
    const { joules, seconds, uncertainty_joules, domains } = this.stop();
    this.idle = {
      watts: joules / seconds,
      uncertainty: uncertainty_joules / seconds,
      domains: domains.map((domain) => domain.joules / seconds),
    };
  }

  close(): void {
    this.quiet();
    this.timers = [];
    for (const source of this.sources) source.close();
  }
}

/** Several meters as one: nominal as soon as one is, and as slow as the slowest. */
function sumOf(infos: readonly MeterInfo[]): MeterInfo {
  const [first] = infos;
  if (infos.length === 1) return first!;
  const domains = infos.flatMap((info) => info.domains);
  return {
    kind: first!.kind,
    name: infos.map(({ name }) => name).join(" + "),
    provenance: infos.some(({ provenance }) => provenance === "nominal") ? "nominal" : "measured",
    domains,
    intervalMs: Math.max(...infos.map(({ intervalMs }) => intervalMs)),
    note: `${infos.map(({ name, note }) => `${name}: ${note}`).join(". ")}. Added up, since a card's power does not pass through the processor's package`,
  };
}
