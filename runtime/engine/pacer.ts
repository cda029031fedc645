/**
 * Open loop: when packets are due, whatever the chain is at. A packet that is taken late was due when it was due, so its latency counts from
 * then: what waits behind a stall is not left out ("coordinated omission", G. Tene, "How NOT to Measure Latency").
 *
 * Times are ns on the engine's clock, computed from the packet's number, or from the bits before it, and not from its predecessor's: nothing
 * adds up.
 */

/** Packets per second: packet k is due at start + k / rate. With a receive ring, packets that find it full are missed. */
export class PacketPacer {
  private readonly interval: number;
  /** Number of the next packet of the input. */
  private next = 0;
  /** Packets that have fallen due. */
  private seen = 0;
  /** Of those, packets in the ring: not taken and not missed. */
  private waiting = 0;
  /**
   * What the ring holds, as a circular list: runs of packets that wait, and behind each how many were missed before the ring took
   * another.
   */
  private readonly runs: Float64Array;
  private readonly gaps: Float64Array;
  private head = 0;
  private count = 0;

  /** @param ring descriptors of the receive ring; undefined: packets wait, however many */
  constructor(
    private readonly startNs: number,
    pps: number,
    private readonly ring: number = Number.POSITIVE_INFINITY,
  ) {
    this.interval = 1e9 / pps;
    // One more than descriptors: a run that was taken may have missed packets behind it that are still to be passed over.
    const room = Number.isFinite(ring) ? ring + 1 : 1;
    this.runs = new Float64Array(room);
    this.gaps = new Float64Array(room);
  }

  /** Lets what has fallen due until now into the ring. */
  advance(now: number): void {
    if (now < this.startNs) return;
    const due = Math.floor((now - this.startNs) / this.interval) + 1;
    const arrived = due - this.seen;
    if (arrived <= 0) return;
    this.seen = due;
    const taken = Math.min(arrived, this.ring - this.waiting);
    if (taken > 0) this.enter(taken);
    this.waiting += taken;
    if (arrived > taken) {
      const tail = this.tail;
      this.gaps[tail] = this.gaps[tail]! + arrived - taken;
    }
  }

  private get tail(): number {
    return (this.head + this.count - 1) % this.runs.length;
  }

  private enter(packets: number): void {
    if (this.count > 0 && this.gaps[this.tail] === 0) {
      this.runs[this.tail] = this.runs[this.tail]! + packets;
      return;
    }
    this.count++;
    this.runs[this.tail] = packets;
    this.gaps[this.tail] = 0;
  }

  /** Packets of the input that were missed and come before what can be taken next. */
  get missed(): number {
    return this.count > 0 && this.runs[this.head] === 0 ? this.gaps[this.head]! : 0;
  }

  /** Packets that can be taken now, in a row. */
  get ready(): number {
    return this.count > 0 ? this.runs[this.head]! : 0;
  }

  /** Stamps the next packets with when they were due; at most {@link ready}. */
  take(slots: Uint32Array, count: number, rxNs: Float64Array): void {
    const { startNs, interval, next } = this;
    for (let i = 0; i < count; i++) rxNs[slots[i]!] = startNs + (next + i) * interval;
    this.next = next + count;
    this.waiting -= count;
    this.runs[this.head] = this.runs[this.head]! - count;
    this.leave();
  }

  /** The input was moved on by so many packets, at most {@link missed}. */
  skip(count: number): void {
    this.next += count;
    this.gaps[this.head] = this.gaps[this.head]! - count;
    this.leave();
  }

  /** A run that was taken, with all that was missed behind it, makes room for the next. */
  private leave(): void {
    if (this.runs[this.head]! > 0 || this.gaps[this.head]! > 0) return;
    this.head = (this.head + 1) % this.runs.length;
    this.count--;
  }
}

/** Bits per second: a packet is due when all bits before it have had their time. */
export class BitPacer {
  private bits = 0;
  private readonly perBit: number;

  constructor(
    private readonly startNs: number,
    bps: number,
  ) {
    this.perBit = 1e9 / bps;
  }

  /** When the next packet is due. */
  get dueNs(): number {
    return this.startNs + this.bits * this.perBit;
  }

  take(bytes: number): void {
    this.bits += bytes * 8;
  }
}
