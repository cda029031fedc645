import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseCores } from "../runtime/engine/core-spec.js";
import type { OrderMode } from "../runtime/engine/plan.js";
import type { Receiving } from "../runtime/engine/receivers.js";
import { dealWorkgroups, makeTopology, type TopologyPlan } from "../runtime/engine/topology.js";
import type { RxPattern } from "../runtime/nic/port.js";

const three = { nfs: [{}, {}, {}] as never[], nfOrder: [0, 1, 2], cyclic: false };
const make = (plan: TopologyPlan, order: "flow" | "none", text: string) => {
  const lines: string[] = [];
  return { ...makeTopology(plan, order, parseCores(text), (l) => lines.push(l)), lines };
};

test("core specifications in the paper's notation", () => {
  assert.equal(parseCores("d1"), { io: 1, nf: 0, sync: 0 });
  assert.equal(parseCores("c2d1"), { io: 1, nf: 0, sync: 2 });
  assert.equal(parseCores("n3d2"), { io: 2, nf: 3, sync: 0 });
  for (const bad of ["", "x1", "d", "d1d2", "n2", "d0", "d1 n2", "1"]) {
    assert.throws(() => parseCores(bad), /--cores/, bad);
  }
});

test("d1 is run-to-completion", () => {
  const t = make(three, "flow", "d1");
  assert.equal(t.threads, [{ core: "io", rx: true, tx: true, nfs: [0, 1, 2] }]);
  assert.equal(t.rings, []);
});

test("a line keeps arrival order: one ring from each core to the next, and back", () => {
  const t = make(three, "flow", "d1n2");
  assert.equal(
    t.threads.map((x) => x.nfs),
    [[], [0], [1, 2]],
  );
  assert.equal(t.rings, [
    [0, 1],
    [1, 2],
    [2, 0],
  ]);
  const apart = make(three, "flow", "d2n3");
  assert.equal(
    apart.threads.map((x) => [x.rx, x.tx]),
    [
      [true, false],
      [false, false],
      [false, false],
      [false, false],
      [false, true],
    ],
  );
});

test("without order every pair of cores has its ring", () => {
  assert.equal(make(three, "none", "d1n2").rings.length, 6);
});

test("cores a chain cannot use are named, not started", () => {
  const t = make(three, "flow", "c1d3n9");
  assert.equal(t.threads.length, 5);
  assert.equal(t.lines.length, 3);
});

test("a cyclic policy runs on one core, unless order is waived", () => {
  const cyclic = { ...three, cyclic: true };
  const kept = make(cyclic, "flow", "d1n2");
  assert.equal(kept.threads.length, 1);
  assert.match(kept.lines[0]!, /cycle/);
  assert.equal(make(cyclic, "none", "d1n2").threads.length, 3);
});

/** Three NFs, those named on a device with so many workgroups. */
const onGpu = (nfs: readonly number[], workgroups: number, cyclic = false): TopologyPlan => ({
  nfs: [0, 1, 2].map((i) => ({ place: nfs.includes(i) ? "gpu" : "cpu" })),
  nfOrder: [0, 1, 2],
  cyclic,
  device: { handle: { shape: { workgroups } } },
});

test("CPUSyncer cores have rings with the owners of GPU NFs, and are no part of the line", () => {
  const plan = onGpu([0, 2], 4);
  const t = make(plan, "flow", "c2d1n2");
  assert.is(t.name, "c2d1n2");
  assert.is(t.stations, 3);
  assert.is(t.threads.length, 5);
  const line = [
    [0, 1],
    [1, 2],
    [2, 0],
  ];
  const syncers = [3, 4].flatMap((c) =>
    [1, 2].flatMap((owner) => [
      [owner, c],
      [c, owner],
    ]),
  );
  assert.equal(t.rings, [...line, ...syncers]);
  assert.equal(t.lines, []);
  assert.equal(dealWorkgroups(plan, t, [2, 3, 0, 1]), [[], [], [], [2, 0], [3, 1]]);
  const alone = make(plan, "none", "c1d1");
  assert.equal(alone.rings, [
    [0, 1],
    [1, 0],
  ]);
  assert.is(alone.stations, 1);
});

test("without CPUSyncer cores each owner has workgroups of its own, dealt in turn", () => {
  const plan = onGpu([0, 2], 5);
  assert.equal(dealWorkgroups(plan, make(plan, "flow", "d1n2"), [0, 1, 2, 3, 4]), [[], [0, 2, 4], [1, 3]]);
  assert.equal(dealWorkgroups(plan, make(plan, "flow", "d1"), [0, 1, 2, 3, 4]), [[0, 1, 2, 3, 4]]);
});

test("syncers beyond the device's workgroups are named, not started", () => {
  const cores = make(onGpu([1], 2), "flow", "c3d1");
  assert.is(cores.name, "c2d1");
  assert.match(cores.lines.join(), /--cores c3: .* the device has 2; 2 used/);
  const owners = make(onGpu([0, 1, 2], 1), "flow", "d1n3");
  assert.is(owners.name, "d1n1");
  assert.match(owners.lines.join(), /--cores n3: .* the device has 1; n1 used/);
  assert.is(make(onGpu([0, 1, 2], 1), "flow", "c1d1n3").name, "c1d1n3");
});

test("a cyclic policy with order waits for the GPU packet by packet, and that is said", () => {
  const kept = make(onGpu([1], 2, true), "flow", "c1d1");
  assert.is(kept.threads.length, 1);
  assert.match(kept.lines.join(), /one packet at a time.*--order none/s);
  assert.is(make(onGpu([1], 2, true), "none", "c1d1").threads.length, 2);
});

/** One port that several threads can share the queue of, and one that any number of them can send by. */
const receiving = (pattern: RxPattern, more: Partial<Receiving> = {}): Receiving => ({
  ports: [
    { name: "in", rx: true, tx: false, xdp: true, receivers: 1, senders: 1 },
    { name: "out", rx: false, tx: true, xdp: false, receivers: 0, senders: 99 },
  ],
  pattern,
  digest: false,
  slots: 2 ** 16,
  ...more,
});

test("cores that share a queue: numbers that can, and for others the next that can", () => {
  const none = { nfs: [], nfOrder: [], cyclic: false };
  const of = (pattern: RxPattern, order: OrderMode, cores: string) =>
    makeTopology(none, order, parseCores(cores), () => {}, receiving(pattern));
  // Behind receivers, order is restored by the core that sends.
  assert.equal([of("range", "none", "d2").receivers, of("range", "flow", "d3").receivers], [2, 2]);
  assert.equal([of("parent", "none", "d3").receivers, of("parent", "flow", "d4").receivers], [3, 3]);
  assert.equal([of("arbitration", "none", "d5").receivers, of("arbitration", "flow", "d6").receivers], [5, 5]);
  assert.is(of("range", "none", "d2").numbers, "port");
  assert.is(of("default", "flow", "d1").receivers, 1);
  const refused = [
    ["arbitration", "none", "d1", /one core receives.*use d2, of which 2 receive\b(?! and)/s],
    ["arbitration", "flow", "d1", /one core receives.*use d3, of which 2 receive and one sends/s],
    ["range", "flow", "d2", /one core receives.*2, 4, 8.*use d3,/s],
    ["range", "none", "d3", /3 cores receive.*use d4, of which 4 receive\b(?! and)/s],
    ["range", "flow", "d6", /5 cores receive.*use d9, of which 8 receive and one sends/s],
    ["parent", "none", "d1", /one core receives.*use d2, of which 2 receive/s],
    ["parent", "none", "d4", /4 cores receive.*1, 2, 4.*use d5, of which 5 receive/s],
    ["parent", "flow", "d5", /4 cores receive.*use d6, of which 5 receive and one sends/s],
  ] as const;
  for (const [pattern, order, cores, words] of refused) {
    assert.throws(() => of(pattern, order, cores), words, `${pattern}, ${order}, ${cores}`);
  }
  const few = receiving("range", { slots: 3 * 1024 });
  assert.throws(() => makeTopology(none, "none", parseCores("d3"), () => {}, few), /no slots for more/);
});

test("a queue is not shared where one core has to see all packets", () => {
  const none = { nfs: [], nfOrder: [], cyclic: false };
  const of =
    (more: Partial<Receiving>, order: OrderMode = "flow", cyclic = false) =>
    () =>
      makeTopology({ ...none, cyclic }, order, parseCores("d3"), () => {}, receiving("range", more));
  of({})();
  assert.throws(of({ digest: true }), /leave out --digest/);
  assert.throws(of({}, "global"), /use --order flow/);
  assert.throws(of({}, "flow", true), /use --order none/);
  of({}, "none", true);
  const port = { name: "in", rx: true, tx: false, xdp: true, receivers: 1, senders: 1 };
  assert.throws(of({ ports: [{ ...port, xdp: false }] }), /port in has no AF_XDP ring/);
  assert.throws(of({ ports: [{ ...port, receivers: 4 }] }), /port in has 4.*queue=N/s);
});

test.run();
