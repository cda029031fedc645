/** Where packets end, against a plain reading of it: bursts that leave alike, in runs, and every packet for itself. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { counterLayout, PORT, PORT_COUNTERS } from "../runtime/engine/counters.js";
import { Egress } from "../runtime/engine/egress.js";
import { DROP, type Plan, TARGET } from "../runtime/engine/plan.js";
import { EgressDigest } from "../runtime/measure/digest.js";
import { LatencyTable } from "../runtime/measure/latency.js";
import type { HostPort, TxPort } from "../runtime/nic/port.js";
import { Arena, DATA_OFFSET, NO_PORT } from "../runtime/packet/arena.js";
import { freshSeed, Random } from "./support/random.js";

const seed = freshSeed();
const r = new Random(seed);
const SLOTS = 512;
const DROPS = 20;
/** Port that keeps slots. */
const KEEPING = 2;
const MTUS = [undefined, 500, undefined, 300];
const WARM_UP_MS = 1;
const START = 3e9;

/** A port that notes what it sends; what keeps slots hands them back when it is asked. */
class Noting implements TxPort {
  readonly sent: number[] = [];
  readonly kept: number[] = [];
  readonly reclaim?: (slots: Uint32Array) => number;

  constructor(keeps: boolean) {
    if (!keeps) return;
    this.reclaim = (slots) => {
      const count = Math.min(slots.length, this.kept.length);
      for (let i = 0; i < count; i++) slots[i] = this.kept.shift()!;
      return count;
    };
  }

  transmit(slots: Uint32Array, count: number): void {
    this.sent.push(...slots.subarray(0, count));
    if (this.reclaim !== undefined) this.kept.push(...slots.subarray(0, count));
  }

  flush(): void {}
  async close(): Promise<void> {}
}

/** Packets of a burst, alike but for where `varies` says so. */
function fill(
  arena: Arena,
  senders: readonly number[],
  slots: Uint32Array,
  count: number,
  now: number,
  arrival: () => number,
): void {
  const out = () => r.pick([NO_PORT, r.pick(senders)]);
  const to = () => r.pick([TARGET.EGRESS, TARGET.EGRESS_PORT + r.pick(senders)]);
  const alike = r.chance(0.5);
  const change = r.pick([0, 0.02, 0.2, 1]);
  const fresh = () => ({
    target: to(),
    out: out(),
    received: now - r.int(0, 3_000_000),
  });
  let kind = fresh();
  // One that is another: at the ends of a burst, or anywhere.
  const odd = r.chance(0.5) ? r.pick([0, count - 1, r.int(0, count - 1)]) : -1;
  for (let i = 0; i < count; i++) {
    const slot = slots[i]!;
    if (!alike && r.chance(change)) kind = fresh();
    arena.next[slot] = kind.target;
    arena.portOut[slot] = kind.out;
    arena.rxNs[slot] = kind.received;
    arena.len[slot] = r.int(60, 250);
    arena.l3[slot] = DATA_OFFSET + 14;
    arena.l3end[slot] = arena.l3[slot]! + r.pick([46, 299, 300]);
    arena.arrival[slot] = arrival();
    if (i !== odd) continue;
    const what = r.int(0, 5);
    if (what === 0) arena.next[slot] = TARGET.DROP + r.int(0, DROPS - 1);
    else if (what === 1) arena.next[slot] = TARGET.KERNEL;
    else if (what === 2) arena.portOut[slot] = out();
    else if (what === 3) arena.l3end[slot] = arena.l3[slot]! + r.pick([300, 301, 499, 500, 501, 600]);
    else if (what === 4) arena.next[slot] = r.pick([to(), TARGET.EGRESS_PORT + MTUS.length]);
    else arena.rxNs[slot] = now - r.int(0, 3_000_000);
  }
}

for (const [mtus, withHost, digests, senders] of [
  [false, false, false, [0, 1, 2, 3]],
  [false, true, true, [0, 1, 2]],
  [true, true, true, [0, 1, 2, 3]],
  [true, false, false, [1]],
  [false, false, true, [KEEPING]],
] as const) {
  const name = `ports ${senders.join(", ")}${mtus ? ", limits" : ""}${withHost ? ", a host" : ""}${digests ? ", digest" : ""}`;
  test(`each packet ends where it is to, once, and is counted: ${name} (seed ${seed})`, () => {
    const arena = Arena.create(SLOTS);
    const ports = MTUS.map((mtu, i) => ({ name: `p${i}`, mtu: mtus ? mtu : undefined }));
    const plan = { ports, nfs: [], drops: Array(DROPS), options: { warmUpMs: WARM_UP_MS } } as unknown as Plan;
    const layout = counterLayout(plan);
    const counters = new Float64Array(layout.length);
    const latency = new LatencyTable();
    const sinks = ports.map((_, p) =>
      (senders as readonly number[]).includes(p) ? new Noting(p === KEEPING) : undefined,
    );
    const injected: number[] = [];
    const host: HostPort = {
      inject(slots, count) {
        injected.push(...slots.subarray(0, count));
        return Math.min(count, 1);
      },
      close() {},
    };
    const names = ports.map((p) => p.name);
    const digest = digests ? new EgressDigest(arena, names) : undefined;
    const plainDigest = new EgressDigest(arena, names);
    const parts = { digest, host: withHost ? host : undefined };
    const egress = new Egress(plan, arena, sinks, layout, counters, latency, parts);

    const expected = new Float64Array(layout.length);
    const plainLatency = new LatencyTable();
    const highest = new Float64Array(ports.length);
    const note = (at: number, more = 1) => {
      expected[at] = expected[at]! + more;
    };
    let recordNs = Number.NaN;
    let arrivals = 0;
    const arrival = () => (r.chance(0.98) ? ++arrivals : Math.max(1, arrivals - r.int(0, 5)));
    const free = Array.from({ length: SLOTS }, (_, i) => i);
    const back = new Uint32Array(256);
    for (let burst = 0; burst < 600; burst++) {
      const about = `seed ${seed}, ${name}, burst ${burst}`;
      const now = START + burst * 50_000;
      const count = Math.min(r.pick([1, 2, 3, 64, r.int(1, 200)]), free.length);
      if (count > 0) {
        for (let i = 0; i < count; i++) free.push(...free.splice(r.int(0, free.length - 1), 1));
        const slots = Uint32Array.from(free.splice(-count));
        fill(arena, senders, slots, count, now, arrival);
        if (Number.isNaN(recordNs)) recordNs = arena.rxNs[slots[0]!]! + WARM_UP_MS * 1e6;

        const sent = ports.map((): number[] => []);
        const keeps = new Set<number>();
        const handed: number[] = [];
        for (const slot of slots) {
          const target = arena.next[slot]!;
          const only = senders.length === 1 ? senders[0] : NO_PORT;
          const chosen = arena.portOut[slot]! === NO_PORT ? only : arena.portOut[slot]!;
          const port = target >= TARGET.EGRESS_PORT ? target - TARGET.EGRESS_PORT : chosen;
          if (target >= TARGET.DROP) note(layout.drop + target - TARGET.DROP);
          else if (target === TARGET.KERNEL && withHost) handed.push(slot);
          else if (target === TARGET.KERNEL) note(layout.toKernel);
          else if (ports[port] === undefined) note(layout.drop + DROP.NO_PORT);
          else if (arena.l3end[slot]! - arena.l3[slot]! > (ports[port].mtu ?? 1e9))
            note(layout.drop + DROP.EGRESS_TOO_BIG);
          else {
            sent[port]!.push(slot);
            if (port === KEEPING && sinks[port] !== undefined) keeps.add(slot);
            note(layout.port + port * PORT_COUNTERS + PORT.OPACKETS);
            note(layout.port + port * PORT_COUNTERS + PORT.OBYTES, arena.len[slot]);
            if (arena.rxNs[slot]! >= recordNs) plainLatency.record(now - arena.rxNs[slot]!);
            if (arena.arrival[slot]! < highest[port]!) note(layout.reordered);
            else highest[port] = arena.arrival[slot]!;
            plainDigest.add(port, slot);
          }
        }
        if (handed.length > 0) {
          note(layout.toKernel, handed.length - 1);
          note(layout.drop + DROP.KERNEL_REFUSED);
        }
        const before = sinks.map((sink) => sink?.sent.length ?? 0);
        const given = injected.length;
        const left = egress.release(slots, count, now);
        const freed = left === count ? slots : egress.freed.subarray(0, left);
        assert.equal([...freed].sort(), [...slots].filter((slot) => !keeps.has(slot)).sort(), about);
        sinks.forEach((sink, p) => {
          assert.equal(sink?.sent.slice(before[p]) ?? [], sent[p], `${about}, port ${p}`);
        });
        assert.equal(injected.slice(given), handed, about);
        free.push(...freed);
      }
      if (r.chance(0.3))
        for (let n = egress.reclaim(back, false); n > 0; n = egress.reclaim(back, false))
          free.push(...back.subarray(0, n));
    }
    assert.equal([...counters], [...expected], `seed ${seed}, ${name}`);
    assert.equal([...latency.counts], [...plainLatency.counts], `seed ${seed}, ${name}`);
    assert.is(latency.max, plainLatency.max);
    if (digest !== undefined) assert.is(digest.finish(), plainDigest.finish(), `seed ${seed}, ${name}`);
    assert.ok(
      sinks.some((sink) => (sink?.sent.length ?? 0) > 1000),
      `seed ${seed}, ${name}: too little was sent`,
    );
    arena.free();
  });
}

test.run();
