/**
 * Handing packets on on a device, without one: from which NFs to which, and why not; and what the host makes of answers it finds, right ones and
 * wrong ones.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { nf as ipsec } from "../nfs/ipsec/index.js";
import { nf as nids } from "../nfs/nids/index.js";
import { nf as router } from "../nfs/router/index.js";
import { type LoadedChain, loadChain } from "../runtime/chain/load.js";
import { aheadBytes, MOST_HOPS, OUTCOMES, PATH } from "../runtime/device/forward.js";
import { kernelFolder } from "../runtime/device/kernel-files.js";
import { Ahead } from "../runtime/engine/ahead.js";
import { forwardingOf, hopsOf } from "../runtime/engine/hops.js";
import { PARAM_WORDS } from "../runtime/packet/arena.js";
import { Batch } from "../runtime/packet/batch.js";
import { mapRegion, unmapRegion } from "../runtime/packet/memory.js";
import { folder, gateway, wingbeat } from "./chain-support.js";
import { fakeDevice } from "./support/fake-device.js";
import { freshSeed, Random } from "./support/random.js";

const seed = freshSeed();
const r = new Random(seed);

async function chainOf(files: Record<string, string | object>, ...gpu: string[]): Promise<LoadedChain> {
  const place = new Map(gpu.map((name) => [name, "gpu" as const]));
  return loadChain(join(folder(files), "chain.json"), { place, warn: () => {} });
}

const linesOf = (chain: LoadedChain) =>
  hopsOf(chain).map(({ from, to, outcome, types, lack }) => {
    const ends = `${chain.nfs[from]!.name}.${outcome} ${chain.nfs[to]!.name} ${types.join(",")}`;
    return lack === undefined ? ends : `${ends}: ${lack}`;
  });

test("which hops stay on the device, and why others do not", async () => {
  const files = gateway(10);
  const chain = await chainOf(files, "protect", "open", "nids", "router");
  assert.equal(linesOf(chain), [
    "protect.protected open branch: open: the CPU numbers packets, and checks numbers, in order",
    "open.opened nids tunnel,branch,web,v6,default: open: it passes gate and classifier first",
    "nids.clean router web,tunnel,branch,default",
    "nids.alert router tunnel,branch,default: nids: rules are judged on the CPU",
  ]);
  const forwarding = forwardingOf(chain)!;
  assert.is(forwarding.hops, 1);
  assert.equal([...forwarding.reads], [0, 0, 1, 0]);
  const { next, types } = forwarding;
  const goesOn = (type: string, nf: number, outcome: number) =>
    next[(chain.types.indexOf(type) * 4 + nf) * OUTCOMES + outcome];
  assert.is(types, chain.types.length);
  assert.is(goesOn("web", 2, 0), 4);
  assert.is(goesOn("v6", 2, 0), 0, "v6 leaves from the nids");
  assert.is(goesOn("web", 2, 1), 0, "an alert is the host's");
  assert.is(next.filter((target) => target !== 0).length, 4);
  // Both have to be on the device.
  assert.equal(linesOf(await chainOf(files, "protect", "nids")), []);
  assert.is(forwardingOf(await chainOf(files, "protect", "nids")), undefined);
});

test("no packet goes on to an NF that reads what one before has still to change", async () => {
  const files = gateway(10);
  const policy = "*,ingress,router\n*,router,nids\n*,nids,open\n*,open,protect\n*,protect,egress:out";
  const chain = await chainOf({ ...files, "policy.csv": policy }, "router", "nids");
  assert.ok(
    linesOf(chain).some((text) => /^router\.forward nids [^:]+$/.test(text)),
    linesOf(chain).join("\n"),
  );
  const nfs = chain.nfs.map((nf) => {
    if (nf.name !== "router") return nf;
    const gpu = { ...nf.module.gpu!, forward: { ...nf.module.gpu!.forward!, changes: ["ttl", "data"] as const } };
    return { ...nf, module: { ...nf.module, gpu } };
  });
  const lines = linesOf({ ...chain, nfs });
  assert.ok(
    lines.some((text) => text.endsWith(": nids reads what is behind the IP header, which router changes on the CPU")),
    lines.join("\n"),
  );
  assert.is(forwardingOf({ ...chain, nfs }), undefined);
});

test("NFs that take part have what that needs in their kernels", () => {
  const text = (program: string) => readFileSync(join(kernelFolder(), `${program}.wgsl`), "utf8");
  for (const { gpu } of [ipsec, nids, router]) {
    assert.match(text(gpu!.program), `fn nf_${gpu!.program}_outcome(params_at: u32) -> u32`);
    const enters = typeof gpu!.forward!.enters({ patterns: [1] } as never) !== "string";
    assert.is(text(gpu!.program).includes(`fn nf_${gpu!.program}_enter(`), enters, gpu!.program);
  }
});

const SLOTS = 64;
const HOPS = MOST_HOPS;
/** On the device 0 and 1, in the chain 2 and 5. */
const FROM = 2;
const TO = 5;
const ASKS = [1, 7];
const ANSWERS = [0, 3];
/** In the order in which they are kept. */
const WORDS = [0, 1, 3, 7];
const KEPT = WORDS.length;

function withAhead(body: (parts: ReturnType<typeof makeAhead>) => void): void {
  const parts = makeAhead();
  try {
    body(parts);
  } finally {
    parts.close();
  }
}

function makeAhead() {
  const region = mapRegion(aheadBytes(SLOTS, HOPS, KEPT));
  const fake = fakeDevice({ workgroups: 1, workgroupSize: 1, depth: 1, nfs: [] });
  const next = new Uint16Array(SLOTS);
  const params = Uint32Array.from({ length: SLOTS * PARAM_WORDS }, () => r.u32());
  const counters = new Float64Array(6);
  const ahead = new Ahead(
    {
      handle: { ...fake.handle, ahead: { region, slots: SLOTS, hops: HOPS, kept: KEPT } },
      hops: {
        pairs: [
          { from: FROM, to: TO },
          { from: TO, to: TO },
        ],
        words: [undefined, undefined, undefined, undefined, undefined, { asks: ASKS, answers: ANSWERS }],
      },
      numberOf: [-1, -1, 0, -1, -1, 1],
      ...{ next, params, counters, at: 2 },
    },
    TO,
  );
  const paths = new Uint32Array(region.buffer, 0, SLOTS);
  const answers = new Uint32Array(region.buffer, 4 * SLOTS);
  const batch = new Batch(256);
  const wanted = new Uint8Array(256);
  return {
    ...{ next, params, counters, paths, answers, ahead },
    /** What prepare wanted of a packet, and what is still wanted. */
    use(slot: number, wants: 0 | 1): number {
      batch.slots[0] = slot;
      batch.count = 1;
      wanted[0] = wants;
      ahead.use(batch, wanted);
      return wanted[0]!;
    },
    settle: (slot: number) => ahead.settle(Uint32Array.of(slot), 1),
    /** The answer to what the params of the slot ask, for hop `hop`. */
    answer(slot: number, hop: number): number[] {
      const at = (slot * HOPS + hop) * KEPT;
      for (let i = 0; i < KEPT; i++) answers[at + i] = r.u32();
      for (const word of ASKS) answers[at + WORDS.indexOf(word)] = params[slot * PARAM_WORDS + word]!;
      return ANSWERS.map((word) => answers[at + WORDS.indexOf(word)]!);
    },
    given: (slot: number) => ANSWERS.map((word) => params[slot * PARAM_WORDS + word]!),
    close: () => {
      unmapRegion(region);
      fake.close();
    },
  };
}

const pathOf = (...nfs: number[]) => nfs.reduce((path, nf, hop) => path | ((nf + 1) << (PATH.BITS * hop)), 0);

test("the answer to the same question is taken, hop after hop", () =>
  withAhead(({ paths, use, settle, answer, given, next, counters, params }) => {
    paths[9] = pathOf(0, 1, 1);
    const first = answer(9, 0);
    next[9] = TO;
    settle(9);
    const others = params.filter((_, i) => i >> 3 !== 9);
    assert.is(use(9, 1), 0);
    assert.equal(given(9), first);
    const second = answer(9, 1);
    settle(9);
    assert.is(use(9, 1), 0);
    assert.equal(given(9), second);
    assert.equal(
      params.filter((_, i) => i >> 3 !== 9),
      others,
    );
    assert.is(paths[9], 0);
    assert.equal([...counters], [0, 0, 1, 1, 0, 0]);
    assert.is(use(9, 1), 1, "nothing is left");
    // A packet that needs no kernel: the device has found so, too, or has not.
    paths[3] = pathOf(0, 1) | (1 << PATH.SKIPS);
    assert.is(use(3, 0), 0);
    paths[3] = pathOf(0, 1);
    answer(3, 0);
    assert.is(use(3, 0), 0);
    assert.equal([...counters], [0, 0, 2, 1, 1, 0]);
  }));

test(`another question, another NF, another way: no answer is taken, and none later (seed ${seed})`, () =>
  withAhead(({ paths, use, settle, answer, given, answers, next, counters }) => {
    let vain = 0;
    const refused = (slot: number, about: string) => {
      const before = given(slot);
      assert.is(use(slot, 1), 1, about);
      assert.equal(given(slot), before, about);
      assert.is(paths[slot], 0, about);
      assert.is(counters[4], ++vain, about);
    };
    for (const word of ASKS) {
      const slot = r.int(0, SLOTS - 1);
      paths[slot] = pathOf(0, 1, 1);
      answer(slot, 0);
      const at = slot * HOPS * KEPT + WORDS.indexOf(word);
      answers[at] = answers[at]! ^ (1 << r.int(0, 31));
      refused(slot, `word ${word}`);
    }
    paths[7] = pathOf(1, 0);
    answer(7, 0);
    refused(7, "the path is another NF's");
    paths[7] = pathOf(0, 1) | (1 << PATH.SKIPS);
    answer(7, 0);
    refused(7, "the device has not asked the kernel");
    for (const elsewhere of [FROM, 0x8000, 0x102]) {
      paths[7] = pathOf(0, 1);
      next[7] = elsewhere;
      settle(7);
      assert.is(paths[7], 0, `next ${elsewhere}`);
      assert.is(counters[4], ++vain);
    }
    paths[7] = pathOf(0, 1);
    next[7] = TO;
    settle(7);
    assert.is(paths[7], pathOf(0, 1));
    assert.equal([...counters], [0, 0, 0, 0, vain, 0]);
  }));

test("check says it in a line for each hop; --place is that of run", () => {
  const cwd = folder(gateway(10));
  const none = wingbeat(["check", "chain.json"], cwd);
  assert.is(none.code, 0, none.stderr);
  assert.not.match(none.stdout, "webgpu:");
  const place = ["--place", "nids=gpu,router=gpu"];
  const { stdout } = wingbeat(["check", "chain.json", ...place], cwd);
  assert.match(stdout, /^webgpu: nids\.clean -> router \(.*web.*\): stays on the device$/m);
  assert.match(stdout, /^webgpu: nids\.alert -> router \(.*\): through the host; nids: rules are judged on the CPU$/m);
  const { hops } = JSON.parse(wingbeat(["check", "chain.json", ...place, "--json", "-"], cwd).stdout);
  assert.equal(
    hops.map(({ from, to, forwarded, why }: Record<string, unknown>) => [from, to, forwarded, why]),
    [
      ["nids.clean", "router", true, null],
      ["nids.alert", "router", false, "nids: rules are judged on the CPU"],
    ],
  );
  const wrong = wingbeat(["check", "chain.json", "--place", "nids=tpu"], cwd);
  assert.is(wrong.code, 2);
});

test.run();
