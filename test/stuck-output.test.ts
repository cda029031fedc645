/** An output that lets go of nothing, and a receiver whose slots it has all got: the run comes to its end, and everything is counted. */
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadChain } from "../runtime/chain/load.js";
import { assemble } from "../runtime/engine/assemble.js";
import { forAll } from "../runtime/engine/by-role.js";
import { controlMemory, stopReceiving } from "../runtime/engine/control.js";
import { Core } from "../runtime/engine/core.js";
import { parseCores } from "../runtime/engine/core-spec.js";
import { counterLayout, counterMemory, sumCounters } from "../runtime/engine/counters.js";
import { makePlan } from "../runtime/engine/plan.js";
import { snapshotOf } from "../runtime/engine/result.js";
import { makeTopology } from "../runtime/engine/topology.js";
import type { LiveRx, RxPort, TxPort } from "../runtime/nic/port.js";
import { Arena, DATA_OFFSET } from "../runtime/packet/arena.js";
import { folder } from "./chain-support.js";
import { ethernet, ipv4, udp } from "./support/frames.js";

const SLOTS = 1024;
const RING = 256;
/** What is in the ring when all slots are gone, and more. */
const FRAMES = SLOTS - RING + 100;

test("the end does not wait for slots that an output has kept for good", async () => {
  const ports = { in: { driver: "generator" }, out: { driver: "null" } };
  const chain = { name: "stuck", ports, policy: "policy.csv" };
  const cwd = folder({ "chain.json": chain, "policy.csv": "*,ingress,egress\n" });
  const arena = Arena.create(SLOTS);
  const control = new Int32Array(controlMemory(1));
  const frame = ethernet({}, ipv4({}, udp({}, new Uint8Array(20))));

  const ring: number[] = [];
  let left = FRAMES;
  let supplied = 0;
  const live: LiveRx = {
    ...{ descriptors: [], stock: RING, imissed: 0, ierrors: 0 },
    supply(slots, count) {
      ring.push(...slots.subarray(0, count));
      supplied += count;
    },
    stop() {},
    withdraw(slots) {
      const count = Math.min(supplied, slots.length);
      for (let i = 0; i < count; i++) slots[i] = ring.pop()!;
      supplied -= count;
      return count;
    },
    update() {},
  };
  const rx: RxPort = {
    live,
    done: false,
    receive(slots, count) {
      const some = Math.min(count, left);
      for (let i = 0; i < some; i++) {
        ring.push(slots[i]!);
        const slot = ring.shift()!;
        slots[i] = slot;
        arena.u8.set(frame, slot * 2048 + DATA_OFFSET);
        arena.off[slot] = DATA_OFFSET;
        arena.len[slot] = frame.length;
        arena.wireLen[slot] = frame.length;
        arena.rxError[slot] = 0;
      }
      left -= some;
      return some;
    },
    async ready() {},
    async close() {},
  };
  const kept: number[] = [];
  let oerrors = 0;
  const tx: TxPort = {
    live: {
      update() {},
      get oerrors() {
        return oerrors;
      },
      oerrorBytes: 0,
    },
    transmit(slots, count) {
      kept.push(...slots.subarray(0, count));
      if (kept.length === SLOTS - RING) stopReceiving(control);
    },
    reclaim(slots, force) {
      const count = force ? Math.min(kept.length, slots.length) : 0;
      for (let i = 0; i < count; i++) slots[i] = kept.pop()!;
      oerrors += count;
      return count;
    },
    flush() {},
    async close() {},
  };
  const plan = makePlan(await loadChain(join(cwd, "chain.json"), { warn: () => {} }), arena.handle, {
    ...{ order: "flow", batch: 32, seed: undefined, portable: true, verifyL4: false, digest: false },
    ...{ loop: 1, duration: 0, rate: undefined, wait: forAll("spin" as const) },
  });
  const layout = counterLayout(plan);
  const counters = counterMemory(layout, 1);
  let now = 0;
  // A clock that does not end before the test is lost.
  const clock = () => {
    now += 1e6;
    if (now > 1e12) throw new Error(`no end: ${left} frames left, ${kept.length} slots kept`);
    return now;
  };
  const topology = makeTopology(plan, "flow", parseCores("d1"), () => {});
  const common = { thread: 0, plan, topology, arena, control, clock, counters, rings: [] };
  const parts = { nfs: [], rxPorts: [{ port: 0, rx }], txPorts: [undefined, tx], digest: undefined };
  await new Core(assemble({ ...common, ...parts })).run();
  const { rx: received, tx: sent, dropped } = snapshotOf(plan, layout, sumCounters(counters, layout));
  assert.equal([received, sent, dropped], [FRAMES, 0, FRAMES]);
  arena.free();
});

test.run();
