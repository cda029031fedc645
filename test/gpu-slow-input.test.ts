/** An input that has nothing more until what it gave has left: packets at the device go on while it is waited for. */
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadChain } from "../runtime/chain/load.js";
import { assemble } from "../runtime/engine/assemble.js";
import { controlMemory } from "../runtime/engine/control.js";
import { Core } from "../runtime/engine/core.js";
import { counterLayout, counterMemory } from "../runtime/engine/counters.js";
import { makePlan } from "../runtime/engine/plan.js";
import { makeTopology } from "../runtime/engine/topology.js";
import type { RxPort, TxPort } from "../runtime/nic/port.js";
import { Arena } from "../runtime/packet/arena.js";
import { folder } from "./chain-support.js";
import { deferred, stamp } from "./support/deferred-nf.js";
import { fakeDevice } from "./support/fake-device.js";
import { ethernet, ipv4, place, udp } from "./support/frames.js";
import { GpuSyncer } from "./support/gpu-syncer.js";

/** Each has to leave before the next comes. */
const ROUNDS = [1, 5, 64, 100];

test("rows go on while an input is waited for", async () => {
  const cwd = folder({
    "chain.json": {
      name: "slow",
      ports: { in: { driver: "generator" }, out: { driver: "null" } },
      nfs: { nids: { type: "nids", place: "gpu", config: { rules: "local.rules" } } },
      policy: "policy.csv",
    },
    "policy.csv": "*,ingress,nids\n*,nids,egress",
    "local.rules": 'alert udp any any -> any any (msg:"one"; content:"needle"; sid:1;)',
  });
  const chain = await loadChain(join(cwd, "chain.json"), { warn: () => {} });
  const arena = Arena.create(256);
  const fake = fakeDevice({ workgroups: 2, workgroupSize: 64, depth: 2, nfs: [{ program: 0, table: 0 }] });
  const gpu = new GpuSyncer(fake.handle, (program, slot) => stamp(arena, program, slot));
  gpu.launch();
  gpu.run();
  const options = { order: "flow", batch: 64, loop: 1, duration: 0, rate: undefined, wait: {} } as const;
  const plan = makePlan(
    chain,
    arena.handle,
    { ...options, seed: 1, digest: false, verifyL4: false, portable: true },
    fake.handle,
  );
  const topology = makeTopology(plan, "flow", { io: 1, nf: 0, sync: 0 }, () => {});

  const frame = ethernet({}, ipv4({}, udp({ dport: 7 }, Buffer.from("a needle"))));
  let sent = 0;
  let given = 0;
  let due = 0;
  const rx: RxPort = {
    get done() {
      // Until then the loop has to give way, to the device above all.
      return sent === ROUNDS.reduce((a, b) => a + b);
    },
    receive(slots, count) {
      const wanted = ROUNDS.slice(0, due).reduce((a, b) => a + b, 0);
      const some = Math.min(count, wanted - given);
      for (let i = 0; i < some; i++) place(arena, slots[i]!, frame);
      given += some;
      return some;
    },
    // Were it awaited while packets are at the device, they would stay there, and it would not resolve.
    async ready() {
      while (sent < given) await new Promise((resolve) => setTimeout(resolve, 1));
      due++;
    },
    async close() {},
  };
  const tx: TxPort = {
    transmit(_, count) {
      sent += count;
    },
    flush() {},
    async close() {},
  };
  const [{ module, loaded, name }] = chain.nfs as [(typeof chain.nfs)[0]];
  const nf = module.create(loaded, { name, arena, seed: 1, portable: true, warn: () => {} });
  const core = new Core(
    assemble({
      ...{ thread: 0, plan, topology, arena, rings: [], digest: undefined },
      control: new Int32Array(controlMemory(1)),
      clock: () => performance.now() * 1e6,
      counters: counterMemory(counterLayout(plan), 1),
      started: {
        ...{ workgroups: [0, 1], pause: () => {} },
        report: () => {
          throw new Error("the device stands still");
        },
      },
      nfs: [deferred(nf, arena, { program: 0, wants: () => true, inOrder: true })],
      rxPorts: [{ port: 0, rx }],
      txPorts: [undefined, tx],
    }),
  );
  const device = setInterval(() => gpu.run(), 1);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${sent} of ${given} packets have left`)), 60_000);
  });
  await Promise.race([core.run(), late]).finally(() => {
    clearTimeout(timer);
    clearInterval(device);
  });
  assert.is(sent, 170);
  fake.close();
  arena.free();
});

test.run();
