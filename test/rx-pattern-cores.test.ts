/** Which numbers of cores can share a queue by a pattern, and what a chain has to be for it. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseCores } from "../runtime/engine/core-spec.js";
import type { OrderMode } from "../runtime/engine/plan.js";
import type { Receiving } from "../runtime/engine/receivers.js";
import { makeTopology } from "../runtime/engine/topology.js";
import type { RxPattern } from "../runtime/nic/port.js";

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
