/** The receiving side of a thread: bursts from its ports in turn, stamped, paced, until the ports are done or the run stops. */
import type { RxPort } from "../nic/port.js";
import type { Arena } from "../packet/arena.js";
import type { SlotPool } from "../packet/pool.js";
import { CONTROL } from "./control.js";
import { type CounterLayout, PORT_COUNTERS } from "./counters.js";
import type { Plan } from "./plan.js";

export interface NumberedRxPort {
  readonly port: number;
  readonly rx: RxPort;
}

export class Ingress {
  /** When the first packet came in, in ns since the epoch; NaN before. */
  firstNs = Number.NaN;
  private arrivals = 0;
  private turn = 0;
  private stopped = false;
  private readonly startNs: number;
  private sentUnits = 0;

  constructor(
    private readonly plan: Plan,
    private readonly arena: Arena,
    private readonly ports: readonly NumberedRxPort[],
    private readonly pool: SlotPool,
    private readonly layout: CounterLayout,
    private readonly counters: Float64Array,
    private readonly control: Int32Array,
    private readonly clock: () => number,
  ) {
    this.startNs = clock();
  }

  /** True when no packet will ever come in again. */
  get done(): boolean {
    return this.stopped || this.ports.every((p) => p.rx.done);
  }

  /**
   * Fills `slots` with up to `max` fresh packets and stamps them; returns how many. 0: nothing now (no slot free, port not ready, or
   * not yet due by `--rate`).
   */
  receive(slots: Uint32Array, max: number): number {
    const now = this.clock();
    const { duration, rate } = this.plan.options;
    if (Atomics.load(this.control, CONTROL.STOP) === 1 || (duration > 0 && now - this.startNs >= duration * 1e9)) {
      this.stopped = true;
    }
    if (this.stopped) return 0;
    let want = max;
    if (rate !== undefined) {
      const due = ((now - this.startNs) / 1e9) * rate.value - this.sentUnits;
      // At least one packet as soon as anything is due, so that low rates come out evenly spaced.
      if (due <= 0) return 0;
      if (rate.unit === "pps") want = Math.min(max, Math.ceil(due));
    }
    for (let tried = 0; tried < this.ports.length; tried++) {
      const { port, rx } = this.ports[this.turn]!;
      this.turn = (this.turn + 1) % this.ports.length;
      if (rx.done) continue;
      const taken = this.pool.take(slots, want);
      if (taken === 0) return 0;
      const count = rx.receive(slots, taken);
      if (count < taken) this.pool.put(slots, count, taken - count);
      if (count === 0) continue;
      this.stamp(slots, count, port, now);
      return count;
    }
    return 0;
  }

  private stamp(slots: Uint32Array, count: number, port: number, now: number): void {
    const { portIn, arrival, rxNs, len } = this.arena;
    let arrivals = this.arrivals;
    let bytes = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      portIn[slot] = port;
      arrival[slot] = ++arrivals;
      rxNs[slot] = now;
      bytes += len[slot]!;
    }
    if (this.arrivals === 0) this.firstNs = now;
    this.arrivals = arrivals;
    const at = this.layout.port + port * PORT_COUNTERS;
    this.counters[at] = this.counters[at]! + count;
    this.counters[at + 1] = this.counters[at + 1]! + bytes;
    if (this.plan.options.rate !== undefined) {
      this.sentUnits += this.plan.options.rate.unit === "pps" ? count : bytes * 8;
    }
  }

  /** Resolves when a port that had nothing may have something; at once where only pacing or slots were in the way. */
  async ready(): Promise<void> {
    const waiting = this.ports.filter((p) => !p.rx.done).map((p) => p.rx.ready());
    if (waiting.length > 0) await Promise.race(waiting);
  }

  async close(): Promise<void> {
    for (const { rx } of this.ports) await rx.close();
  }
}
