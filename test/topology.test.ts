import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseCores } from "../runtime/engine/core-spec.js";
import type { Receiving } from "../runtime/engine/receivers.js";
import { dealWorkgroups, makeTopology, type TopologyPlan } from "../runtime/engine/topology.js";

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

/** Ports `in` and `out` of network interfaces, and what else decides about receivers. */
const receiving = (queues: number, senders: number, more: Partial<Receiving> = {}): Receiving => ({
  ports: [
    { name: "in", rx: true, tx: false, xdp: true, receivers: queues, senders: queues },
    { name: "out", rx: false, tx: true, xdp: true, receivers: senders, senders },
  ],
  ...{ pattern: "default", digest: false, slots: 16_384 },
  ...more,
});
const nf = (name: string, replicable: boolean) => ({ name, replicable });
const replicable = { nfs: [nf("a", true), nf("b", true)], nfOrder: [0, 1], cyclic: false };
const single = { nfs: [nf("a", true), nf("b", false)], nfOrder: [0, 1], cyclic: false };

function receive(plan: TopologyPlan, order: "flow" | "global" | "none", text: string, with_: Receiving) {
  const lines: string[] = [];
  return { ...makeTopology(plan, order, parseCores(text), (l) => lines.push(l), with_), lines };
}

test("every core runs to completion where NFs may be on several, queues are as many, and outputs take as many writers", () => {
  const t = receive(replicable, "flow", "d3", receiving(4, 4));
  const core = { core: "io", rx: true, tx: true, nfs: [0, 1] };
  assert.equal(t.threads, [core, core, core]);
  assert.equal([t.rings, t.receivers, t.stations, t.name, t.numbers], [[], 3, 3, "d3", "receiver"]);
  assert.equal(t.lines, []);
  const fewer = receive(replicable, "flow", "d4", receiving(2, 4));
  assert.equal([fewer.receivers, fewer.name], [2, "d2"]);
  assert.match(fewer.lines.join(), /d4: of the io cores 2 receive, since no port has more queues .*ethtool -L/);
});

test("an NF that runs on one core, or an output with one writer, has receivers hand on to the last core", () => {
  for (const [plan, ports, reason] of [
    [single, receiving(4, 4), /NF b runs on one core/],
    [replicable, receiving(4, 1), /port out takes one writer/],
    [replicable, receiving(4, 2), /port out takes 2 writers/],
  ] as const) {
    const t = receive(plan, "flow", "d4", ports);
    const first = { core: "io", rx: true, tx: false, nfs: [] };
    assert.equal(t.threads, [first, first, first, { core: "io", rx: false, tx: true, nfs: [0, 1] }]);
    assert.equal(t.rings, [
      [0, 3],
      [1, 3],
      [2, 3],
      [3, 0],
      [3, 1],
      [3, 2],
    ]);
    assert.equal([t.receivers, t.name], [3, "d4"]);
    assert.match(t.lines.join(), reason);
  }
  const two = receive(single, "flow", "d2", receiving(4, 4));
  assert.equal([two.receivers, two.name], [1, "d2n0"], "one receives, one sends, as ever");
  assert.match(two.lines.join(), /NF b runs on one core/);
});

test("receivers hand on to the cores of NFs, the last of which sends, in a line or in a mesh", () => {
  const t = receive(replicable, "flow", "d2n2", receiving(4, 4));
  assert.equal(
    t.threads.map((x) => [x.core, x.rx, x.tx, x.nfs]),
    [
      ["io", true, false, []],
      ["io", true, false, []],
      ["nf", false, false, [0]],
      ["nf", false, true, [1]],
    ],
  );
  assert.equal(t.rings, [
    [0, 2],
    [1, 2],
    [2, 3],
    [3, 0],
    [3, 1],
  ]);
  assert.equal([t.name, t.lines], ["d2n2", []]);
  const mesh = receive(replicable, "none", "d2n2", receiving(4, 4));
  assert.equal(
    mesh.rings.map((pair) => pair.join("")).sort(),
    ["02", "03", "12", "13", "23", "30", "31", "32"],
    "receivers have nothing for each other",
  );
});

test("GPU NFs belong to a core behind the receivers", () => {
  const gpu = { ...onGpu([1], 4), nfs: [nf("a", true), { name: "b", place: "gpu" as const }, nf("c", true)] };
  const t = receive(gpu, "flow", "c1d3", receiving(4, 4));
  assert.equal([t.name, t.receivers, t.stations, t.threads.length], ["c1d3", 2, 3, 4]);
  assert.equal(t.rings.slice(-2), [
    [2, 3],
    [3, 2],
  ]);
});

test("where order is one core's, one core receives, and that is said", () => {
  const file = receiving(4, 4, {
    ports: [...receiving(4, 4).ports, { name: "file", rx: true, tx: false, xdp: false, receivers: 0, senders: 1 }],
  });
  for (const [order, ports, reason] of [
    ["flow", receiving(1, 4), /no port has more than one queue/],
    ["global", receiving(4, 4), /--order global/],
    ["flow", receiving(4, 4, { digest: true }), /a digest is over the order/],
    ["flow", file, /port file is no network interface/],
  ] as const) {
    const t = receive(replicable, order, "d2", ports);
    assert.equal([t.receivers, t.name, t.numbers], [1, "d2n0", "all"]);
    assert.match(t.lines.join(), reason);
  }
});

test("receivers are no more than the arena has slots for", () => {
  const problem = /--cores d17: each receiving core needs 1024 slots, and the arena has 16384\n.*use d16/;
  assert.throws(() => receive(replicable, "flow", "d17", receiving(64, 64)), problem);
  assert.is(receive(replicable, "flow", "d16", receiving(64, 64)).receivers, 16);
});

test("cores that share a queue keep its order behind them, and without order need nobody behind them", () => {
  const shared = receiving(1, 4, { pattern: "arbitration" });
  const kept = receive(replicable, "flow", "d3", shared);
  assert.equal([kept.receivers, kept.name, kept.numbers], [2, "d3", "port"]);
  assert.match(kept.lines.join(), /order is restored behind cores that share a queue/);
  const free = receive(replicable, "none", "d3", shared);
  assert.equal([free.receivers, free.stations, free.numbers], [3, 3, "port"]);
  const many = receiving(4, 4, { pattern: "range" });
  assert.throws(() => receive(replicable, "flow", "d3", many), /--rx-pattern range: .*port in has 4.*\n.*queue=N/);
  const packet = receiving(4, 4, { pattern: "parent", ports: [{ ...many.ports[0]!, xdp: false }] });
  assert.throws(() => receive(replicable, "flow", "d1", packet), /port in has no AF_XDP ring to share/);
});

test.run();
