/** The whole path of one core: forwarding alone, and the chain ipsec -> nids -> router beside the sum of its parts. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { nf as ipsecNf } from "../nfs/ipsec/index.js";
import { nf as nidsNf } from "../nfs/nids/index.js";
import { nf as routerNf } from "../nfs/router/index.js";
import { type LoadedChain, loadChain } from "../runtime/chain/load.js";
import type { Nf, NfModule } from "../runtime/chain/nf.js";
import { Arena, DATA_OFFSET, SLOT_SIZE } from "../runtime/packet/arena.js";
import { Batch } from "../runtime/packet/batch.js";
import { Gate } from "../runtime/packet/gate.js";
import { EngineSubject, SumSubject } from "./engine-subject.js";
import { type FrameSet, udpFrames } from "./frames.js";
import type { Bench, BenchOptions } from "./harness.js";
import { loadBenchSas, toRandomSa } from "./ipsec.js";
import { loadBenchRules } from "./nids.js";
import { NfSubject } from "./subject.js";

const PORTS = { in: { driver: "generator" }, out: { driver: "null" } };

async function chainOf(options: BenchOptions, name: string, nfs: object, policy: string): Promise<LoadedChain> {
  const file = join(options.scratch, `${name}.json`);
  writeFileSync(join(options.scratch, `${name}.csv`), policy);
  writeFileSync(file, JSON.stringify({ name, ports: PORTS, nfs, policy: `${name}.csv` }));
  return loadChain(file, { warn: options.warn });
}

const forwarding: Bench = {
  nf: "forwarding",
  async setUp(options) {
    const chain = await chainOf(options, "forwarding", {}, "*,ingress,egress");
    return {
      note: "no NF: rx copy from memory, gate, classifier, policy, ledger, latency, tx to null",
      frames: (size) => udpFrames({ size, count: 2048, seed: options.seed }),
      subjects: async (frames) => ({
        subjects: [await EngineSubject.open("wingbeat", chain, frames, options)],
        skipped: [],
      }),
    };
  },
};

/** What an NF makes of these frames. */
export function through(module: NfModule<never, never>, loaded: unknown, frames: FrameSet): FrameSet {
  const arena = Arena.create(64);
  const nf: Nf = module.create(loaded as never, { name: "", arena, seed: 1, portable: false, warn: () => {} });
  const gate = new Gate(arena);
  const batch = new Batch(1);
  const out = frames.frames.map((frame) => {
    arena.u8.set(frame, DATA_OFFSET);
    arena.off[0] = DATA_OFFSET;
    arena.len[0] = frame.length;
    arena.rxError[0] = 0;
    batch.slots[0] = 0;
    batch.count = 1;
    gate.check(batch.slots, 1, new Uint8Array(1));
    nf.process(batch);
    if (arena.off[0]! + arena.len[0]! > SLOT_SIZE) throw new Error("a frame outgrew its slot");
    return arena.u8.slice(arena.off[0]!, arena.off[0]! + arena.len[0]!);
  });
  nf.close?.();
  arena.free();
  const bytes = out.reduce((sum, frame) => sum + frame.length, 0);
  return { name: frames.name, frames: out, meanBytes: bytes / out.length };
}

const chain: Bench = {
  nf: "chain",
  async setUp(options) {
    await loadBenchSas(options);
    await loadBenchRules(options);
    writeFileSync(join(options.scratch, "chain-routes.txt"), "0.0.0.0/0 192.0.2.1 out\n172.16.0.0/12 192.0.2.2 out\n");
    const nfs = {
      ipsec: { type: "ipsec", config: { sas: "sas.json" } },
      nids: { type: "nids", config: { rules: "bench.rules" } },
      router: { type: "router", config: { routes: "chain-routes.txt" } },
    };
    const loaded = await chainOf(
      options,
      "chain",
      nfs,
      "*,ingress,ipsec\n*,ipsec,nids\n*,nids,router\n*,router,egress",
    );
    const plain = await chainOf(options, "chain-forwarding", {}, "*,ingress,egress");
    return {
      note: "ipsec (1,024 SAs) -> nids (147 ip rules, over the ciphertext) -> router; the peer is the sum of its parts' own times",
      frames: (size) => udpFrames({ size, count: 2048, seed: options.seed, destination: toRandomSa }),
      async subjects(frames) {
        const [ipsec, nids, router] = loaded.nfs.map((nf) => nf.loaded);
        const { warn } = options;
        const sealed = through(ipsecNf as never, ipsec, frames);
        const parts = [
          await EngineSubject.open("forwarding", plain, frames, options),
          NfSubject.open(ipsecNf, ipsec as never, frames, { expect: ["protected"], warn }),
          NfSubject.open(nidsNf, nids as never, sealed, { expect: ["clean", "alert"], warn }),
          NfSubject.open(routerNf, router as never, sealed, { expect: ["forward"], warn }),
        ];
        const whole = await EngineSubject.open("wingbeat", loaded, frames, options);
        return { subjects: [whole, new SumSubject("sum of parts", "forwarding + each NF alone", parts)], skipped: [] };
      },
    };
  },
};
export const benches: readonly Bench[] = [forwarding, chain];
