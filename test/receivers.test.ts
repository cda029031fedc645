/**
 * Several receiving cores with queues of their own, or sharing one by number, stepped in one thread as a seed says: every packet leaves once,
 * in order where order is kept, every slot comes home to the pool of some receiver, and the audits count what a plain look at the packets
 * that left counts.
 */
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadChain } from "../runtime/chain/load.js";
import type { Nf } from "../runtime/chain/nf.js";
import { streamsOf } from "../runtime/engine/arrival-order.js";
import { assemble } from "../runtime/engine/assemble.js";
import { forAll } from "../runtime/engine/by-role.js";
import { controlMemory, stopReceiving } from "../runtime/engine/control.js";
import { Core, type CoreParts } from "../runtime/engine/core.js";
import type { CoreSpec } from "../runtime/engine/core-spec.js";
import { counterLayout, counterMemory, PORT, PORT_COUNTERS, sumCounters } from "../runtime/engine/counters.js";
import { auditMemory, FlowAudit } from "../runtime/engine/flow-audit.js";
import type { ThreadReport } from "../runtime/engine/messages.js";
import { OrderWindow } from "../runtime/engine/order-window.js";
import { makePlan, type OrderMode } from "../runtime/engine/plan.js";
import { makeResult } from "../runtime/engine/result.js";
import { makeTopology } from "../runtime/engine/topology.js";
import type { LiveRx, RxPattern, RxPort, TxPort } from "../runtime/nic/port.js";
import { Arena, DATA_OFFSET } from "../runtime/packet/arena.js";
import { ringBytes } from "../runtime/packet/ring.js";
import { folder } from "./chain-support.js";
import { ethernet, ipv4, udp } from "./support/frames.js";
import { freshSeed, Random } from "./support/random.js";

const seed = freshSeed();
const r = new Random(seed);
const SLOTS = 4096;
const FLOWS = 8;
/** Where a frame says which it is: behind Ethernet, IPv4 and UDP. */
const NUMBER_AT = 14 + 20 + 8;

test(`a window gives numbers back in order, whatever order they came in (seed ${seed})`, () => {
  const arena = { slots: 300, arrival: new Float64Array(300), portIn: new Uint8Array(300) };
  const ports = 3;
  const window = new OrderWindow(arena, ports);
  const given = Array.from({ length: ports }, () => 0);
  const left: number[][] = Array.from({ length: ports }, () => []);
  const free = Array.from({ length: arena.slots }, (_, i) => i);
  let outside: number[] = [];
  const out = new Uint32Array(64);
  const take = () => {
    for (let n = window.release(out, r.int(1, 64)); n > 0; n = window.release(out, r.int(1, 64))) {
      for (const slot of out.subarray(0, n)) {
        left[arena.portIn[slot]!]!.push(arena.arrival[slot]!);
        free.push(slot);
      }
    }
  };
  for (let round = 0; round < 3000; round++) {
    for (let some = r.int(0, Math.min(40, free.length)); some > 0; some--) {
      const slot = free.splice(r.int(0, free.length - 1), 1)[0]!;
      const port = r.int(0, ports - 1);
      given[port]!++;
      arena.portIn[slot] = port;
      arena.arrival[slot] = given[port]!;
      outside.push(slot);
    }
    // Any of those that are out, the oldest often last.
    const picked = outside.filter(() => r.chance(0.3));
    outside = outside.filter((slot) => !picked.includes(slot));
    picked.sort(() => r.int(-1, 1));
    window.push(Uint32Array.from(picked), picked.length);
    take();
  }
  window.push(Uint32Array.from(outside), outside.length);
  take();
  for (let port = 0; port < ports; port++) {
    assert.equal(
      left[port],
      Array.from({ length: given[port]! }, (_, i) => i + 1),
      `seed ${seed}`,
    );
  }
  assert.is(free.length, arena.slots);
});

test("a window refuses a number that was given twice, and one beyond all slots", () => {
  const arena = { slots: 8, arrival: Float64Array.of(1, 3, 3, 9, 1), portIn: new Uint8Array(5) };
  const window = new OrderWindow(arena, 1);
  const out = new Uint32Array(8);
  window.push(Uint32Array.of(1), 1);
  assert.is(window.release(out, 8), 0);
  assert.throws(() => window.push(Uint32Array.of(2), 1), /packet 3 of a queue, where 1 is next/);
  assert.throws(() => window.push(Uint32Array.of(3), 1), /packet 9/);
  window.push(Uint32Array.of(0), 1);
  assert.is(window.release(out, 8), 1);
  assert.throws(() => window.push(Uint32Array.of(4), 1), /packet 1 of a queue, where 2 is next/);
});

test("packets of one flow that came by two shared queues are in no order to each other", () => {
  const arena = Arena.create(4);
  const audit = new FlowAudit(arena, streamsOf(arena, "port"));
  const slots = Uint32Array.of(0, 1, 2);
  for (const [slot, port, number] of [
    [0, 0, 9],
    [1, 1, 3],
    [2, 0, 8],
  ] as const) {
    arena.portIn[slot] = port;
    arena.arrival[slot] = number;
  }
  audit.arrived(slots, 3);
  assert.is(audit.left(slots, 3, 2), 1, "of port 0, 8 after 9; 3 is of port 1");
  arena.free();
});

/** A queue with a receive ring as AF_XDP has it: it writes into slots it was given, and gives them away with frames in them. */
class Queue {
  readonly fill: number[] = [];
  number = 0;
  stopped = 0;
  constructor(
    private readonly arena: Arena,
    private readonly frames: (arena: Arena, slot: number) => void,
    public left: number,
    private readonly sharers: number,
    private readonly numbers: boolean,
  ) {}

  /** The end of a receiver. */
  open(): RxPort {
    const { fill, arena } = this;
    const queue = this;
    let supplied = 0;
    const live: LiveRx = {
      descriptors: [],
      stock: 64,
      supply(slots, count) {
        fill.push(...slots.subarray(0, count));
        supplied += count;
      },
      stop: () => queue.stopped++,
      withdraw(slots) {
        const count = Math.min(supplied, slots.length);
        for (let i = 0; i < count; i++) slots[i] = fill.pop()!;
        supplied -= count;
        return count;
      },
      get settled() {
        return queue.stopped === queue.sharers && queue.left === 0;
      },
      update() {},
      imissed: 0,
      ierrors: 0,
    };
    return {
      live,
      numbered: this.numbers,
      done: false,
      receive(slots, count) {
        const some = r.int(0, Math.min(count, fill.length, queue.left));
        for (let i = 0; i < some; i++) {
          fill.push(slots[i]!);
          const slot = fill.shift()!;
          slots[i] = slot;
          queue.frames(arena, slot);
          queue.number++;
          if (queue.numbers) arena.arrival[slot] = queue.number;
        }
        queue.left -= some;
        return some;
      },
      async ready() {},
      async close() {},
    };
  }
}

interface Scene {
  readonly spec: CoreSpec;
  readonly order: OrderMode;
  readonly pattern: RxPattern;
  readonly ports: number;
  /** Threads that can send by the output. */
  readonly senders: number;
  readonly routed: boolean;
}

async function play({ spec, order, pattern, ports, senders, routed }: Scene): Promise<string> {
  const names = Array.from({ length: ports }, (_, i) => `p${i}`);
  const cwd = folder({
    "chain.json": {
      name: "receivers",
      ports: { ...Object.fromEntries(names.map((name) => [name, { driver: "generator" }])), out: { driver: "null" } },
      ...(routed && {
        nfs: {
          nids: { type: "nids", config: { rules: "local.rules" } },
          router: { type: "router", config: { routes: "routes.txt" } },
        },
      }),
      policy: "policy.csv",
    },
    "policy.csv": routed ? "*,ingress,nids\n*,nids,router\n*,router,egress\n" : "*,ingress,egress\n",
    "local.rules": 'alert udp any any -> any any (msg:"n"; content:"needle"; sid:1;)',
    "routes.txt": "0.0.0.0/0 192.0.2.1 out\n",
  });
  const chain = await loadChain(join(cwd, "chain.json"), { warn: () => {} });
  const arena = Arena.create(SLOTS);
  const options = {
    ...{ order, batch: r.pick([1, 32, 64, 256]), seed: undefined, portable: true, verifyL4: false, digest: false },
    ...{ loop: 1, duration: 0, rate: undefined, wait: forAll("spin" as const), rxPattern: pattern },
  };
  const plan = makePlan(chain, arena.handle, options);
  const sharing = pattern !== "default";
  const many = Number.POSITIVE_INFINITY;
  const receiving = {
    ports: plan.ports.map(({ name, rx, tx }) => {
      return { name, rx, tx, xdp: true, receivers: sharing ? 1 : many, senders: tx ? senders : many };
    }),
    pattern,
    digest: false,
    slots: SLOTS,
  };
  const topology = makeTopology(plan, order, spec, () => {}, receiving);
  const about = `${topology.name} of ${JSON.stringify({ spec, order, pattern, ports, senders, routed })}, seed ${seed}`;
  const { receivers, stations } = topology;
  const layout = counterLayout(plan);
  const counters = counterMemory(layout, stations);
  const control = new Int32Array(controlMemory(stations));
  const rings = topology.rings.map(() => new SharedArrayBuffer(ringBytes(SLOTS)));
  const audit = topology.numbers === "port" && receivers === stations ? auditMemory() : undefined;

  const each = 2000;
  let needles = 0;
  /** By queue and flow, the number of its next frame. */
  const source = (port: number, queue: number) => {
    const next = new Uint32Array(FLOWS);
    return (to: Arena, slot: number) => {
      const flow = r.int(0, FLOWS - 1);
      const payload = new Uint8Array(20);
      if (r.chance(0.1)) {
        payload.set(Buffer.from("needle"), 10);
        needles++;
      }
      new DataView(payload.buffer).setUint32(0, next[flow]!++);
      // Each queue has flows of its own, as RSS deals them, which may put the answers of a connection into another one.
      const back = queue % 2 === 1;
      const [one, other] = [`10.${port}.${queue >> 1}.1`, `10.${port}.${queue >> 1}.2`];
      const addresses = back ? { src: other, dst: one } : { src: one, dst: other };
      const l4 = back ? { sport: 9, dport: 1000 + flow } : { sport: 1000 + flow, dport: 9 };
      const frame = ethernet({}, ipv4(addresses, udp(l4, payload)));
      to.u8.set(frame, slot * 2048 + DATA_OFFSET);
      to.off[slot] = DATA_OFFSET;
      to.len[slot] = frame.length;
      to.wireLen[slot] = frame.length;
      to.rxError[slot] = 0;
    };
  };
  const queues = names.map((_, port) => {
    const shared = new Queue(arena, source(port, 0), each, receivers, true);
    return Array.from({ length: receivers }, (__, q) =>
      sharing ? shared : new Queue(arena, source(port, q), each, 1, false),
    );
  });

  const seen = new Map<string, number>();
  const last = new Map<string, number>();
  let sent = 0;
  let late = 0;
  const tx: TxPort = {
    transmit(slots, count) {
      for (const slot of slots.subarray(0, count)) {
        const at = slot * 2048 + DATA_OFFSET;
        const view = arena.view;
        const flow = `${view.getUint32(at + 26)} ${view.getUint32(at + 34)}`;
        const number = view.getUint32(at + NUMBER_AT);
        assert.not(seen.has(`${flow} ${number}`), `a packet left twice: ${about}`);
        seen.set(`${flow} ${number}`, 1);
        if (number < (last.get(flow) ?? 0)) late++;
        else last.set(flow, number);
        sent++;
      }
    },
    flush() {},
    async close() {},
  };
  const cores = topology.threads.map((role, thread) => {
    const nfs = plan.nfs.map((nf, i) => {
      const context = { name: nf.name, arena, seed: undefined, portable: true, warn: () => {} };
      return role.nfs.includes(i) ? chain.nfs[i]!.module.create(nf.loaded, context) : undefined;
    });
    const rxPorts = role.rx ? queues.map((some, port) => ({ port, rx: some[thread]!.open() })) : [];
    const txPorts = plan.ports.map((p) => (role.tx && p.tx ? tx : undefined));
    const common = { thread, plan, topology, arena, control, clock: () => 1, counters, rings, audit };
    const parts = assemble({ ...common, nfs, rxPorts, txPorts, digest: undefined });
    return { parts, nfs, core: new Core(parts) };
  });
  for (let step = 0, idle = 0; ; step++) {
    const moved = r.pick(cores).core.round();
    idle = moved ? 0 : idle + 1;
    if (step === 2000) stopReceiving(control);
    if (step > 2000 && cores.slice(0, receivers).every(({ core }) => core.drained)) break;
    if (idle > 20_000) {
      const home = cores.map(({ parts }) => parts.pool?.available);
      throw new Error(`stuck with slots at home: ${home}, ${sent} sent; ${about}`);
    }
  }
  const total = new Set(queues.flat()).size * each;
  const sums = sumCounters(counters, layout);
  assert.is(sent, total, about);
  for (const [port, some] of queues.entries()) {
    const received = sums[layout.port + port * PORT_COUNTERS + PORT.IPACKETS];
    assert.is(received, new Set(some).size * each, about);
  }
  assert.is(sums[layout.flowReordered], order === "none" ? late : 0, about);
  if (order === "flow") assert.equal([late, sums[layout.reordered]], [0, 0], about);
  const result = makeResult({ plan, topology, layout, counters: sums, reports: cores.map(reportOf) });
  assert.ok(result.ledger.balanced, about);
  assert.equal(result.packets, { rx: total, tx: total }, about);
  if (routed) {
    const [nids, router] = result.nfs;
    const { packets, outcomes, engine, alerts } = nids!;
    const found = { clean: total - needles, alert: needles, drop: 0 };
    assert.equal([packets, outcomes, alerts], [total, found, needles], about);
    assert.equal([engine, nids!.rules], ["pair-filter", { loaded: 1, skipped: 0 }], about);
    assert.equal([router!.packets, router!.next_hops], [total, 1], about);
  }
  const slots = new Set<number>();
  for (const { parts } of cores.slice(0, receivers)) {
    const { pool } = parts;
    const some = new Uint32Array(pool!.size);
    assert.is(pool!.take(some, some.length), pool!.size, about);
    for (const slot of some) slots.add(slot);
  }
  assert.is(slots.size, SLOTS, `every slot is home once: ${about}`);
  arena.free();
  return topology.name;
}

/** What a thread says at its end. */
function reportOf({ parts, nfs }: { parts: CoreParts; nfs: readonly (Nf | undefined)[] }): ThreadReport {
  const { pool, ingress, egress } = parts;
  return {
    nfs: nfs.flatMap((nf, i) =>
      nf === undefined ? [] : [{ nf: i, engine: nf.engine, stats: nf.stats?.() ?? {}, alerts: undefined }],
    ),
    inFlight: pool === undefined ? 0 : pool.size - pool.available,
    firstNs: ingress?.firstNs ?? Number.NaN,
    lastNs: egress?.lastNs ?? Number.NaN,
    ...{ latency: undefined, digest: undefined },
    settings: { cpu: null, class: "other", priority: 0, nice: 0 },
  };
}

const many = Number.POSITIVE_INFINITY;
for (const pattern of ["default", "arbitration"] as const) {
  for (const order of ["flow", "none"] as const) {
    test(`receivers, pattern ${pattern}, order ${order} (seed ${seed})`, async () => {
      const forms: string[] = [];
      for (const spec of [
        { io: 2, nf: 0, sync: 0 },
        { io: 4, nf: 0, sync: 0 },
        { io: 3, nf: 1, sync: 0 },
      ]) {
        for (const senders of [1, many]) {
          // Two cores where one has to send alone are one that receives and one that sends; it has nobody to share a queue with.
          if (pattern !== "default" && spec.io === 2 && (senders === 1 || order !== "none")) continue;
          const scene = { spec, order, pattern, senders, ports: r.int(1, 3), routed: spec.nf > 0 || r.chance(0.5) };
          forms.push(await play(scene));
        }
      }
      const of2 = pattern === "default" ? ["d2n0", "d2"] : order === "none" ? ["d2"] : [];
      assert.equal(forms, [...of2, "d4", "d4", "d3n1", "d3n1"]);
    });
  }
}

test.run();
