/**
 * A run inside one thread: the cores of a topology with their rings, taking turns in a random order, over frames in memory. What
 * threads would do in an order the operating system chooses happens here in one the seed chooses, so a failure can be repeated.
 */
import type { LoadedChain } from "../../runtime/chain/load.js";
import type { Nf } from "../../runtime/chain/nf.js";
import { lineAt, WG } from "../../runtime/device/queue.js";
import type { Stall } from "../../runtime/device/stall.js";
import { assemble, assembleSyncCore } from "../../runtime/engine/assemble.js";
import { forAll } from "../../runtime/engine/by-role.js";
import { CONTROL, controlMemory } from "../../runtime/engine/control.js";
import { Core } from "../../runtime/engine/core.js";
import type { CoreSpec } from "../../runtime/engine/core-spec.js";
import { counterLayout, counterMemory, sumCounters } from "../../runtime/engine/counters.js";
import { makePlan, type Plan, type PlanOptions } from "../../runtime/engine/plan.js";
import { makeResult, type RunResult } from "../../runtime/engine/result.js";
import { SyncCore } from "../../runtime/engine/sync-core.js";
import { makeTopology } from "../../runtime/engine/topology.js";
import { EgressDigest } from "../../runtime/measure/digest.js";
import type { RxPort, TxPort } from "../../runtime/nic/port.js";
import { Arena } from "../../runtime/packet/arena.js";
import { attachRegion } from "../../runtime/packet/memory.js";
import { ringBytes } from "../../runtime/packet/ring.js";
import type { Sent } from "./chain-reference.js";
import { deferred, stamp } from "./deferred-nf.js";
import { fakeDevice } from "./fake-device.js";
import { place } from "./frames.js";
import { GpuSyncer } from "./gpu-syncer.js";
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
  /** NFs on a GPU device, which is one more to take turns; absent: none. */
  readonly gpu?: GpuExecution;
}

export interface GpuExecution {
  /** Names of the NFs. */
  readonly nfs: readonly string[];
  readonly workgroups: number;
  readonly workgroupSize: number;
  readonly depth: number;
  /** Workgroups that run at once. */
  readonly resident: number;
  /** Share of packets that pass an NF without need of its kernel. */
  readonly spared: number;
  /** Rows after which it serves no more. */
  readonly stallsAfter?: number;
  /** Steps of the device for each of a core. */
  readonly pace: number;
}

export interface Executed {
  readonly result: RunResult;
  readonly sent: readonly Sent[];
  /** What threads said of a device that came to a halt. */
  readonly stalls: readonly Stall[];
}

class MemoryRx implements RxPort {
  private at = 0;

  constructor(
    private readonly frames: readonly Captured[],
    private readonly arena: Arena,
    private readonly pauses: () => boolean,
    /** Slots that are free may still be written to: nothing is to be received any more. */
    private readonly halted: () => boolean,
  ) {}

  get done(): boolean {
    return this.at === this.frames.length;
  }

  receive(slots: Uint32Array, count: number): number {
    if (this.halted()) throw new Error("received after the device came to a halt");
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

/**
 * Turns in which nothing moves, after which it will not. Many more than a stall takes: the clock goes on only in turns of cores that ask
 * for it, and where the device has most turns, and a syncer is one core of nine, that is one turn in forty.
 */
const STUCK = 400_000;
/** What the clock of an execution shows of a turn, and what a syncer waits without progress: about a thousand turns. */
const TURN_NS = 100;
const STALL_NS = 400_000;

export function execute(
  r: Random,
  chain: LoadedChain,
  input: ReadonlyMap<string, readonly Captured[]>,
  seed: number,
  verifyL4: boolean,
  execution: Execution,
): Executed {
  const { cores, batch, slots, order, hiccups, portable, gpu } = execution;
  const arena = Arena.create(slots);
  const options: PlanOptions = {
    ...{ order, batch, seed, portable, verifyL4, digest: true },
    ...{ loop: 1, duration: 0, rate: undefined, wait: forAll("spin") },
  };
  const device = gpu && gpuDevice(arena, gpu);
  const nfs = chain.nfs.map((nf) => ({
    ...nf,
    place: gpu?.nfs.includes(nf.name) ? ("gpu" as const) : ("cpu" as const),
  }));
  const plan = makePlan({ ...chain, nfs }, arena.handle, options, device?.handle);
  const topology = makeTopology(plan, order, cores, () => {});
  const layout = counterLayout(plan);
  const counters = counterMemory(layout, topology.threads.length);
  const control = new Int32Array(controlMemory(topology.threads.length));
  const rings = topology.rings.map(() => new SharedArrayBuffer(ringBytes(slots)));
  let time = 0;
  const clock = () => {
    time += TURN_NS;
    return time;
  };
  const digest = new EgressDigest(
    arena,
    plan.ports.map((p) => p.name),
  );
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
  const stalls: Stall[] = [];
  const started = device && {
    workgroups: device.workgroups,
    syncer: { deadline: r.int(0, 20) * TURN_NS, hardDeadline: 50 * TURN_NS, stall: STALL_NS },
    report: (stall: Stall) => stalls.push(stall),
    pause: () => device.step(r),
  };
  const created: { readonly nf: Nf; readonly index: number; readonly thread: number }[] = [];
  const threads = topology.threads.map((role, thread) => {
    const common = { thread, plan, topology, arena, control, clock, counters, rings, started };
    if (thread >= topology.stations) {
      const core = new SyncCore(assembleSyncCore(common));
      return { parts: undefined, round: () => core.round() };
    }
    const own = plan.nfs.map((_, i) => {
      if (!role.nfs.includes(i)) return undefined;
      const nf = createNf(r, chain, plan, arena, execution, seed, i);
      created.push({ nf, index: i, thread });
      return nf;
    });
    const pauses = () => r.chance(hiccups);
    const halted = () => stalls.length > 0;
    const rxPorts = plan.ports.flatMap((p, port) =>
      role.rx && p.rx ? [{ port, rx: new MemoryRx(input.get(p.name)!, arena, pauses, halted) }] : [],
    );
    const txPorts = plan.ports.map((p) => (role.tx && p.tx ? tx(p.name) : undefined));
    const parts = assemble({ ...common, nfs: own, rxPorts, txPorts, digest: role.tx ? digest : undefined });
    const core = new Core(parts);
    return { parts, round: () => core.round(), core };
  });
  const receiver = threads.find((_, t) => topology.threads[t]!.rx)!;
  const { ingress, pool } = receiver.parts!;
  const { egress } = threads.find((_, t) => topology.threads[t]!.tx)!.parts!;
  for (let idle = 0; !receiver.core!.drained; ) {
    let moved = false;
    if (device !== undefined && r.chance(device.share)) moved = device.step(r);
    else moved = r.pick(threads).round();
    idle = moved ? 0 : idle + 1;
    if (idle > STUCK)
      throw new Error(`stuck: ${pool!.available} of ${slots} slots are home, input done: ${ingress!.done}`);
  }
  if (ingress!.failure !== undefined) throw ingress!.failure;
  control[CONTROL.DRAINED] = 1;
  const reports = threads.map(({ parts }, thread) => ({
    nfs: created
      .filter((one) => one.thread === thread)
      .map(({ nf, index }) => {
        const alerts = Float64Array.from((nf.alerts?.() ?? []).flat());
        return { nf: index, engine: nf.engine, stats: nf.stats?.() ?? {}, alerts };
      }),
    inFlight: parts?.pool === undefined ? 0 : parts.pool.size - parts.pool.available,
    firstNs: ingress!.firstNs,
    lastNs: egress!.lastNs,
    latency: undefined,
    digest: parts?.egress === undefined ? undefined : digest.finish(),
    settings: { cpu: null, class: "other", priority: 0, nice: 0 },
  }));
  const result = makeResult({ plan, topology, layout, counters: sumCounters(counters, layout), reports });
  for (const { nf } of created) nf.close?.();
  // Every slot is home once: none was lost and none has two owners.
  const home = new Uint32Array(slots);
  pool!.take(home, slots);
  if (new Set(home).size !== slots) throw new Error("a slot is in the pool twice");
  device?.close();
  arena.free();
  return { result, sent, stalls };
}

/** An NF of the chain, as the plan places it. */
function createNf(
  r: Random,
  chain: LoadedChain,
  plan: Plan,
  arena: Arena,
  { portable, gpu, cores, order }: Execution,
  seed: number,
  index: number,
): Nf {
  const { name, module, loaded } = chain.nfs[index]!;
  const nf = module.create(structuredClone(loaded), { name, arena, seed, portable, warn: () => {} });
  nf.keepAlerts?.();
  if (plan.nfs[index]!.place === "cpu") return nf;
  // What comes out of a tunnel may come in another order than it went in only where order is by flow.
  const inOrder = order === "global" || (order === "flow" && cores.sync < 2);
  const program = plan.device!.numberOf[index]!;
  return deferred(nf, arena, { program, inOrder, wants: () => !r.chance(gpu!.spared) });
}

/** A device whose steps are taken when the seed says so. */
function gpuDevice(arena: Arena, gpu: GpuExecution) {
  const { workgroups, workgroupSize, depth, resident, stallsAfter = Number.POSITIVE_INFINITY, pace } = gpu;
  const nfs = gpu.nfs.map((_, program) => ({ program, table: 0 }));
  const fake = fakeDevice({ workgroups, workgroupSize, depth, nfs, startIndex: 0xffff_fff0 });
  let rows = 0;
  const syncer = new GpuSyncer(fake.handle, (program, slot) => stamp(arena, program, slot), {
    onRow: () => rows++,
  });
  syncer.launch(resident);
  const order = Array.from({ length: workgroups }, (_, w) => w);
  for (const w of order) syncer.step(w);
  const queue = new Int32Array(attachRegion(fake.handle.queue).buffer);
  return {
    handle: fake.handle,
    workgroups: order.filter((w) => queue[lineAt(w) + WG.STARTED] !== 0),
    share: pace / (pace + 1),
    step: (random: Random): boolean => rows < stallsAfter && syncer.step(random.int(0, workgroups - 1)),
    close: () => fake.close(),
  };
}
