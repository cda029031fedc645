/**
 * A run inside one thread: the cores of a topology with their rings, taking turns in a random order, over frames in memory. What
 * threads would do in an order the operating system chooses happens here in one the seed chooses, so a failure can be repeated.
 */
import { build } from "hdr-histogram-js";
import type { LoadedChain } from "../../runtime/chain/load.js";
import { CONTROL, controlMemory } from "../../runtime/engine/control.js";
import { Core } from "../../runtime/engine/core.js";
import { counterBlock, counterLayout, counterMemory, sumCounters } from "../../runtime/engine/counters.js";
import { Egress } from "../../runtime/engine/egress.js";
import { Ingress } from "../../runtime/engine/ingress.js";
import { makePlan, type PlanOptions } from "../../runtime/engine/plan.js";
import { Processor } from "../../runtime/engine/processor.js";
import { makeResult, type RunResult } from "../../runtime/engine/result.js";
import { type CoreSpec, makeTopology } from "../../runtime/engine/topology.js";
import { EgressDigest } from "../../runtime/measure/digest.js";
import type { RxPort, TxPort } from "../../runtime/nic/port.js";
import { Arena } from "../../runtime/packet/arena.js";
import { SlotPool } from "../../runtime/packet/pool.js";
import { RingConsumer, RingProducer, ringBytes } from "../../runtime/packet/ring.js";
import type { Sent } from "./chain-reference.js";
import { place } from "./frames.js";
import type { Random } from "./random.js";
import type { Captured } from "./random-chain.js";

export interface Execution {
  readonly cores: CoreSpec;
  readonly batch: number;
  readonly slots: number;
  readonly portable: boolean;
  readonly order: PlanOptions["order"];
  /** Share of calls in which a port has nothing although more will come, as one that decompresses. */
  readonly hiccups: number;
}

export interface Executed {
  readonly result: RunResult;
  readonly sent: readonly Sent[];
}

class MemoryRx implements RxPort {
  private at = 0;

  constructor(
    private readonly frames: readonly Captured[],
    private readonly arena: Arena,
    private readonly pauses: () => boolean,
  ) {}

  get done(): boolean {
    return this.at === this.frames.length;
  }

  receive(slots: Uint32Array, count: number): number {
    if (this.pauses()) return 0;
    const some = Math.min(count, this.frames.length - this.at);
    for (let i = 0; i < some; i++) {
      const { bytes, wireLen, sec, nsec } = this.frames[this.at++]!;
      const slot = slots[i]!;
      // What the last packet in the slot left behind must not matter.
      this.arena.u8.fill(0xcc, slot * 2048, slot * 2048 + 2048);
      place(this.arena, slot, bytes, { wireLen });
      this.arena.tsSec[slot] = sec;
      this.arena.tsNsec[slot] = nsec;
    }
    return some;
  }

  async ready(): Promise<void> {}
  async close(): Promise<void> {}
}

export function execute(
  r: Random,
  chain: LoadedChain,
  input: ReadonlyMap<string, readonly Captured[]>,
  seed: number,
  verifyL4: boolean,
  execution: Execution,
): Executed {
  const { cores, batch, slots, portable, order, hiccups } = execution;
  const arena = Arena.create(slots);
  const options: PlanOptions = {
    ...{ order, batch, seed, portable, verifyL4, digest: true },
    ...{ loop: 1, duration: 0, rate: undefined, wait: "spin" },
  };
  const plan = makePlan(chain, arena.handle, options);
  const topology = makeTopology(plan, order, cores, () => {});
  const layout = counterLayout(plan);
  const counters = counterMemory(layout, topology.threads.length);
  const control = new Int32Array(controlMemory(topology.threads.length));
  const rings = topology.rings.map(() => new SharedArrayBuffer(ringBytes(slots)));
  let time = 0;
  const clock = () => ++time;
  const latency = build({ lowestDiscernibleValue: 1, highestTrackableValue: 60e9, numberOfSignificantValueDigits: 3 });
  const names = plan.ports.map((p) => p.name);
  const digest = new EgressDigest(arena, names);
  const sent: Sent[] = [];
  const tx = (port: string): TxPort => ({
    transmit(from, count) {
      for (const slot of from.subarray(0, count)) {
        const at = slot * 2048 + arena.off[slot]!;
        sent.push({ port, frame: arena.u8.slice(at, at + arena.len[slot]!), arrival: arena.arrival[slot]! });
      }
    },
    flush() {},
    async close() {},
  });
  const pool = new SlotPool(0, slots);
  let ingress: Ingress | undefined;
  let egress: Egress | undefined;
  const threads = topology.threads.map((role, thread) => {
    const block = counterBlock(counters, layout, thread);
    const nfs = chain.nfs.map((nf, i) => {
      if (!role.nfs.includes(i)) return undefined;
      const created = nf.module.create(structuredClone(nf.loaded), {
        name: nf.name,
        arena,
        seed,
        portable,
        warn: () => {},
      });
      created.keepAlerts?.();
      return created;
    });
    if (role.rx) {
      const ports = plan.ports.flatMap((p, port) =>
        p.rx ? [{ port, rx: new MemoryRx(input.get(p.name)!, arena, () => r.chance(hiccups)) }] : [],
      );
      ingress = new Ingress(plan, arena, ports, pool, layout, block, control, clock);
    }
    if (role.tx) {
      const ports = plan.ports.map((p) => (p.tx ? tx(p.name) : undefined));
      egress = new Egress(plan, arena, ports, layout, block, latency, digest);
    }
    const ends = <T>(make: (memory: SharedArrayBuffer) => T, mine: 0 | 1) =>
      topology.threads.map((_, other) => {
        const i = topology.rings.findIndex((ring) => ring[mine] === thread && ring[1 - mine] === other);
        return i < 0 ? undefined : make(rings[i]!);
      });
    const core = new Core({
      ...{ thread, plan, topology, arena, control, clock },
      processor: new Processor(plan, arena, nfs, layout, block),
      ingress: role.rx ? ingress : undefined,
      pool: role.rx ? pool : undefined,
      egress: role.tx ? egress : undefined,
      incoming: ends((memory) => new RingConsumer(memory, slots), 1),
      outgoing: ends((memory) => new RingProducer(memory, slots), 0),
    });
    return { core, role, nfs };
  });
  let idle = 0;
  while (Atomics.load(control, CONTROL.DRAINED) === 0) {
    const { core, role } = r.pick(threads);
    const moved = core["takeIncoming"]();
    const received = role.rx ? core.step() : 0;
    if (role.rx && received === 0 && ingress!.done && pool.available === slots) control[CONTROL.DRAINED] = 1;
    idle = moved || received > 0 ? 0 : idle + 1;
    if (idle > 20_000)
      throw new Error(`stuck: ${pool.available} of ${slots} slots are home, input done: ${ingress!.done}`);
  }
  const reports = threads.map(({ nfs, role }) => ({
    nfs: nfs.flatMap((nf, i) =>
      nf === undefined
        ? []
        : [
            {
              nf: i,
              engine: nf.engine,
              stats: nf.stats?.() ?? {},
              alerts: Float64Array.from((nf.alerts?.() ?? []).flat()),
            },
          ],
    ),
    inFlight: role.rx ? pool.size - pool.available : 0,
    firstNs: ingress!.firstNs,
    lastNs: egress!.lastNs,
    latency: undefined,
    digest: role.tx ? digest.finish() : undefined,
  }));
  const result = makeResult({ plan, topology, layout, counters: sumCounters(counters, layout), reports });
  for (const { nfs } of threads) for (const nf of nfs) nf?.close?.();
  // Every slot is home once: none was lost and none has two owners.
  const home = new Uint32Array(slots);
  pool.take(home, slots);
  if (new Set(home).size !== slots) throw new Error("a slot is in the pool twice");
  arena.free();
  return { result, sent };
}
