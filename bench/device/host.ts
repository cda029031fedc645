/**
 * The host's side of an experiment: one thread with a syncer, as the engine's CPUSyncer has it, that does nothing but keep a device busy in
 * one way or another. Every way ends with all packets back, counted.
 */
import type { Device } from "../../runtime/device/device.js";
import { describeStall } from "../../runtime/device/stall.js";
import { SYNC, Syncer, type SyncerOptions } from "../../runtime/device/syncer.js";
import { RunError } from "../../runtime/errors.js";
import { yieldCpu } from "../../runtime/native/yield-cpu.js";
import type { Arena } from "../../runtime/packet/arena.js";
import { SIZE } from "./bed.js";
import { dummyShare, nowNs } from "./counts.js";
import { type Mix, oneClass, SlotSource } from "./source.js";

/** Fruitless looks between two questions whether the device has come to a halt. */
const LOOKS = 4096;
/** ns without progress after which an experiment is given up. */
const STALL = 5_000_000_000;

/** What to do with rows that are not full. */
export type Dummies = "deadline" | "eager" | "never";

export interface HostOptions {
  /** Classes of packets; absent: one. */
  readonly mix?: Mix;
  /** True: a packet's class is its NF; else NF 0 gets all. */
  readonly classIsNf?: boolean;
  readonly dummies?: Dummies;
  /** Rows of like lengths (true) or in the order packets came; absent: as the device likes. */
  readonly grouped?: boolean;
}

export interface Work {
  readonly packets: number;
  readonly seconds: number;
}

export class Host {
  readonly counters = new Float64Array(3);
  private readonly syncer: Syncer;
  private readonly all: Uint32Array;
  private readonly out = new Uint32Array(8 * SIZE);
  private readonly one = new Uint32Array(1);
  private readonly source: SlotSource;
  private readonly nfOf: Uint8Array;
  /** A burst, and by NF. */
  private readonly burst: Uint32Array;
  private readonly byNf: Uint32Array[];
  private readonly counts: Uint32Array;
  private readonly eager: boolean;
  private readonly patient: boolean;
  private looks = 0;
  /** Packets handed to the syncer, and back, by this host. */
  added = 0;
  collected = 0;

  constructor(
    private readonly device: Device,
    private readonly arena: Arena,
    options: HostOptions = {},
  ) {
    const { handle } = device;
    const { grouped, dummies = "deadline" } = options;
    this.eager = dummies === "eager";
    this.patient = dummies !== "never";
    const never: SyncerOptions = { deadline: Number.POSITIVE_INFINITY, hardDeadline: Number.POSITIVE_INFINITY };
    this.syncer = new Syncer(
      grouped === undefined ? handle : { ...handle, lockStep: grouped },
      arena,
      Array.from({ length: handle.shape.workgroups }, (_, workgroup) => workgroup),
      this.counters,
      0,
      { ...(dummies === "never" && never), stall: STALL },
    );
    const { slots } = arena;
    const mix = options.mix ?? oneClass(slots);
    this.all = Uint32Array.from({ length: slots }, (_, slot) => slot);
    this.source = new SlotSource(mix);
    this.nfOf = options.classIsNf === true ? mix.classOf : new Uint8Array(slots);
    this.burst = new Uint32Array(slots);
    this.byNf = handle.nfs.map(() => new Uint32Array(slots));
    this.counts = new Uint32Array(handle.nfs.length);
  }

  /** Packets that wait for a row to become full. */
  get waiting(): number {
    return this.syncer.waiting;
  }

  /** Every packet once, in the order of slots, all to NF 0. */
  once(): void {
    const { syncer, all } = this;
    syncer.add(0, all, 0, all.length);
    this.added += all.length;
    // Not the source's: nothing is given back to it.
    for (let left = all.length; left > 0; ) {
      if (syncer.waiting > 0) syncer.publish(nowNs(), true);
      const got = syncer.collect(this.out);
      left -= got;
      this.collected += got;
      if (got === 0) this.pause();
    }
  }

  /** Between two looks at what the device has done: lets others have the processor, and notices a halt. */
  private pause(): void {
    yieldCpu();
    if (++this.looks % LOOKS !== 0) return;
    const stall = this.syncer.stalled(nowNs());
    if (stall === undefined) return;
    const names = this.device.handle.nfs.map((_, nf) => String(nf));
    throw new RunError("bench", `the device has come to a halt: ${describeStall(stall, names)}`);
  }

  /** Hands `count` slots over at once and waits until all are back. */
  private together(count: number): void {
    const { syncer, all, out } = this;
    syncer.add(0, all, 0, count);
    syncer.publish(nowNs(), true);
    this.added += count;
    let back = 0;
    while (back < count) {
      const got = syncer.collect(out);
      back += got;
      if (got > 0) continue;
      // A slice may have ended between the two.
      if (syncer.waiting > 0) syncer.publish(nowNs(), true);
      this.pause();
    }
    this.collected += back;
  }

  /** `rows` rows at once, one for each workgroup; all back before the next. */
  lockStep(rows: number, ms: number): Work {
    const count = rows * SIZE;
    const start = nowNs();
    const end = start + ms * 1e6;
    let packets = 0;
    let now = start;
    while (now < end) {
      for (let i = 0; i < 16; i++) this.together(count);
      packets += 16 * count;
      now = nowNs();
    }
    return { packets, seconds: (now - start) / 1e9 };
  }

  /** One row at a time while the other workgroups poll: ns from before it is published to when it is seen done, ascending. */
  roundTrips(ms: number): Float64Array {
    const { syncer, all, out } = this;
    const times: number[] = [];
    const end = nowNs() + ms * 1e6;
    for (let now = 0; now < end; ) {
      syncer.add(0, all, 0, SIZE);
      this.added += SIZE;
      const start = nowNs();
      while (syncer.publish(start, true) === 0) this.pause();
      while (syncer.collect(out) === 0) this.pause();
      now = nowNs();
      this.collected += SIZE;
      times.push(now - start);
    }
    return Float64Array.from(times).sort();
  }

  /**
   * As many packets as there are slots, in bursts as ports bring them, each again as soon as it is back.
   * @param burst packets added between two looks at the device
   * @returns with the share of dummies in percent, without those that took the last packets along at the end
   */
  saturate(ms: number, burst = SIZE): Work & { readonly dummies: number } {
    const { syncer, source, out } = this;
    const start = nowNs();
    const end = start + ms * 1e6;
    let now = start;
    let packets = 0;
    // On a machine that is busy with something else nothing may be back in time.
    while (now < end || packets === 0) {
      const take = source.take(this.burst, burst);
      this.add(take);
      // As in the engine: without a free slot nothing comes until rows are done.
      const starved = take < burst && syncer.inFlight === 0;
      const published = syncer.publish(now, this.eager || (starved && this.patient));
      let back = 0;
      for (let got = syncer.collect(out); got > 0; got = syncer.collect(out)) {
        source.give(out, got);
        back += got;
      }
      packets += back;
      if (take === 0 && back === 0 && published === 0) this.pause();
      now = nowNs();
    }
    this.collected += packets;
    const seconds = (now - start) / 1e9;
    const dummies = dummyShare(this.counters);
    this.drain();
    return { packets, seconds, dummies };
  }

  /** Hands the first `count` packets of the burst to their NFs. */
  private add(count: number): void {
    const { syncer, burst, nfOf, byNf, counts } = this;
    this.added += count;
    counts.fill(0);
    for (let i = 0; i < count; i++) {
      const slot = burst[i]!;
      const nf = nfOf[slot]!;
      byNf[nf]![counts[nf]!] = slot;
      counts[nf] = counts[nf]! + 1;
    }
    for (let nf = 0; nf < counts.length; nf++) if (counts[nf]! > 0) syncer.add(nf, byNf[nf]!, 0, counts[nf]!);
  }

  /**
   * Packets come one by one at random times (Poisson), whether the device keeps up or not.
   * @param rate packets per second
   * @returns ns from each one's coming to when it was seen done, in the order they were done; and for each its NF
   */
  paced(rate: number, ms: number, random: () => number): { readonly ns: Float64Array; readonly nf: Uint8Array } {
    const { syncer, source, burst, out, arena, nfOf } = this;
    const came = new Float64Array(arena.slots);
    const most = Math.ceil((rate * ms) / 500) + 1000;
    const ns = new Float64Array(most);
    const nf = new Uint8Array(most);
    let done = 0;
    const gap = 1e9 / rate;
    const start = nowNs();
    const end = start + ms * 1e6;
    let next = start;
    for (let now = start; now < end; now = nowNs()) {
      let take = 0;
      while (next <= now && source.take(this.one, 1) === 1) {
        const slot = this.one[0]!;
        burst[take++] = slot;
        came[slot] = next;
        next -= Math.log(1 - random()) * gap;
      }
      this.add(take);
      const published = syncer.publish(now, this.eager);
      let back = 0;
      for (let got = syncer.collect(out); got > 0; got = syncer.collect(out)) {
        const seen = nowNs();
        for (let i = 0; i < got; i++) {
          const slot = out[i]!;
          if (done < most) {
            nf[done] = nfOf[slot]!;
            ns[done++] = seen - came[slot]!;
          }
        }
        source.give(out, got);
        back += got;
      }
      this.collected += back;
      if (take === 0 && back === 0 && published === 0) this.pause();
    }
    return { ns: ns.subarray(0, done), nf: nf.subarray(0, done) };
  }

  /** As if nothing more came, and nobody said so: what goes in that time goes by deadline. */
  settle(ms: number): void {
    const { syncer, source, out } = this;
    const end = nowNs() + ms * 1e6;
    for (let now = nowNs(); now < end; now = nowNs()) {
      const published = syncer.publish(now, this.eager);
      const got = syncer.collect(out);
      source.give(out, got);
      this.collected += got;
      if (got === 0 && published === 0) this.pause();
    }
  }

  /** Takes back all that is in flight, and has rows go that are not full. */
  drain(): void {
    const { syncer, out } = this;
    while (syncer.waiting > 0 || syncer.inFlight > 0) {
      if (syncer.waiting > 0) syncer.publish(nowNs(), true);
      const got = syncer.collect(out);
      this.collected += got;
      this.source.give(out, got);
      if (got === 0) this.pause();
    }
  }

  /**
   * @param serves how often kernels say they have served, over all slots: their word in params[0]
   * @throws RunError where that, or the counters, are not what was handed over
   */
  check(serves?: number): void {
    const { counters, added, collected } = this;
    const rows = counters[SYNC.ROWS]!;
    const entries = counters[SYNC.PACKETS]! + counters[SYNC.DUMMIES]!;
    if (added !== collected || counters[SYNC.PACKETS] !== added || entries !== rows * SIZE) {
      const what = `${added} packets added, ${collected} back; ${rows} rows with ${counters[SYNC.PACKETS]} packets and ${counters[SYNC.DUMMIES]} dummies`;
      throw new RunError("bench", `counts do not agree: ${what}`, "report this as a bug");
    }
    if (serves !== undefined && serves !== added) {
      throw new RunError("bench", `kernels have served ${serves} packets of ${added}`, "report this as a bug");
    }
  }
}
