/**
 * A runner without a chain: a model of one, whose figures are known. Each figure has noise of its own that depends on seed, cell, load and
 * repeat alone, so that whoever asks twice is told the same.
 */
import { setTimeout as delay } from "node:timers/promises";
import { RunError } from "../../runtime/errors.js";
import {
  type Cell,
  type Load,
  onGpu,
  type Runner,
  type Sample,
  sampleKey,
  type Timing,
} from "../../runtime/experiment/cell.js";
import { Random } from "../../runtime/nic/generator/random.js";

export interface FakeOptions {
  readonly seed?: number;
  /** Of a factor on every rate, relative. */
  readonly noise?: number;
  /** Real ms that a measurement takes. */
  readonly takes?: number;
  readonly signal?: AbortSignal | undefined;
  /** Called before each measurement; what it throws is what the measurement does. */
  readonly before?: (call: number, cell: Cell, load: Load) => void;
  /** Packets per second a cell takes; default: {@link capacity}. */
  readonly capacity?: (cell: Cell) => number;
  readonly emulated?: boolean;
}

/** The GPU wins from 512 bytes on: it costs 400 ns a packet whatever its size, the CPU 50 ns and 1 ns a byte. */
export function capacity({ placement, size }: Cell): number {
  const bytes = typeof size === "number" ? size : 362;
  return 1e9 / (onGpu(placement).length > 0 ? 400 + onGpu(placement).length : 50 + bytes);
}

export class FakeRunner implements Runner {
  readonly calls: { readonly key: string; readonly repeat: number }[] = [];
  closed = false;

  constructor(private readonly options: FakeOptions = {}) {}

  async measure(cell: Cell, load: Load, { windowMs }: Timing, repeat: number): Promise<Sample> {
    const {
      seed = 1,
      noise = 0.01,
      takes = 0,
      signal,
      before,
      capacity: of = capacity,
      emulated = false,
    } = this.options;
    const key = sampleKey(cell, load);
    before?.(this.calls.length, cell, load);
    this.calls.push({ key, repeat });
    if (takes > 0) await delay(takes, undefined, { signal }).catch(() => {});
    if (signal?.aborted) throw new RunError("measurement", "it was stopped before it was complete");
    const random = new Random(seed + hashOf(`${key} ${repeat}`));
    const factor = Math.exp(noise * (random.fraction() + random.fraction() - 1));
    const most = of(cell) * factor;
    const seconds = windowMs / 1000;
    const offered = load.kind === "saturation" ? most : load.pps;
    const rx = Math.round(Math.min(offered, most) * seconds);
    // The ring is empty at first, and swallows so much.
    const ring = load.kind === "saturation" ? 0 : load.ring;
    const missed = Math.max(0, Math.round((offered - most) * seconds) - ring);
    const bytes = rx * (typeof cell.size === "number" ? cell.size : 362);
    // A queue with one server: 10 us, and more the nearer the load is to what it takes.
    const busy = Math.min(0.999, offered / most);
    const p50 = (10_000 / (1 - busy)) * factor;
    const gpu = onGpu(cell.placement).length > 0;
    return {
      ...{ key, cell, load, repeat, at: new Date(0).toISOString(), seconds },
      packets: { rx, tx: rx, dropped: 0, missed },
      ...{ bytes, mpps: rx / seconds / 1e6, gbps: (bytes * 8) / seconds / 1e9 },
      loss: missed / Math.max(1, rx + missed),
      latency_ns: { p50, p90: 2 * p50, p99: 3 * p50, p999: 5 * p50, max: 9 * p50, count: rx },
      cpu_seconds: seconds * busy,
      nfs: Object.entries(cell.placement).map(([name, place]) => ({ name, place, engine: "fake", share: 1 })),
      device: gpu
        ? { kind: "opencl", name: "a fake", emulated, persistent: true, zero_copy: true, workgroups: 2 }
        : null,
      drops: [],
      sync: gpu ? { rows: rx / 50, packets: rx, dummies: rx / 4, bytes_copied: 0 } : NO_ROWS,
      energy: null,
    };
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

const NO_ROWS = { rows: 0, packets: 0, dummies: 0, bytes_copied: 0 };

/** FNV-1a. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return hash;
}
