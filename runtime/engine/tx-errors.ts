/** Packets that network interfaces have not sent after all become drops. */
import type { TxPort } from "../nic/port.js";
import { type CounterLayout, PORT, PORT_COUNTERS } from "./counters.js";
import { DROP } from "./plan.js";

const UPDATE_EVERY_NS = 1e8;

export class TxErrors {
  /** Errors and their bytes that are in the counters, by port. */
  private readonly errors: Float64Array;
  private readonly errorBytes: Float64Array;
  private updateNs = 0;

  /** @param ports by number; undefined where a port does not send */
  constructor(
    private readonly ports: readonly (TxPort | undefined)[],
    private readonly layout: CounterLayout,
    private readonly counters: Float64Array,
  ) {
    this.errors = new Float64Array(ports.length);
    this.errorBytes = new Float64Array(ports.length);
  }

  /** Has ports look after themselves and brings errors into the counters, some ten times a second. */
  update(now: number): void {
    if (now < this.updateNs) return;
    this.updateNs = now + UPDATE_EVERY_NS;
    for (let p = 0; p < this.ports.length; p++) {
      this.ports[p]?.live?.update();
      this.account(p);
    }
  }

  /** Brings a port's errors into the counters. */
  account(port: number): void {
    const live = this.ports[port]?.live;
    if (live === undefined) return;
    const packets = live.oerrors - this.errors[port]!;
    if (packets === 0) return;
    const { counters, layout } = this;
    const at = layout.port + port * PORT_COUNTERS;
    const drop = layout.drop + DROP.EGRESS_TX_ERROR;
    counters[at + PORT.OERRORS] = counters[at + PORT.OERRORS]! + packets;
    counters[at + PORT.OPACKETS] = counters[at + PORT.OPACKETS]! - packets;
    counters[at + PORT.OBYTES] = counters[at + PORT.OBYTES]! - (live.oerrorBytes - this.errorBytes[port]!);
    counters[drop] = counters[drop]! + packets;
    this.errors[port] = live.oerrors;
    this.errorBytes[port] = live.oerrorBytes;
  }
}
