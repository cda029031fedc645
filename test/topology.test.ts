import { test } from "uvu";
import * as assert from "uvu/assert";
import { makeTopology, parseCores } from "../runtime/engine/topology.js";

const three = { nfs: [{}, {}, {}] as never[], nfOrder: [0, 1, 2], cyclic: false };
const make = (plan: typeof three, order: "flow" | "none", text: string) => {
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
  assert.equal(t.threads, [{ rx: true, tx: true, nfs: [0, 1, 2] }]);
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

test.run();
