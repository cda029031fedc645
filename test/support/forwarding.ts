/** Chains whose NFs are all on a WebGPU device, run without one, with packets that go on there and with routing by the host, and compared. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { LoadedChain } from "../../runtime/chain/load.js";
import type { RunResult } from "../../runtime/engine/result.js";
import { folder, sa } from "../chain-support.js";
import { skipUnless } from "../skip.js";
import { check, type Form, load, runLoaded } from "./gpu-forms.js";
import { freshSeed, Random } from "./random.js";
import { deviceLack } from "./webgpu.js";

export const seed = freshSeed();
export const r = new Random(seed);
const lack = await deviceLack();
export const PACKETS = 1000;

/** A test that is skipped, with the reason, where there is no adapter. */
export function deviceTest(name: string, body: () => Promise<void>): void {
  test(`${name} (seed ${seed})`, async () => {
    if (!skipUnless(lack === undefined, lack ?? "")) await body();
  });
}

export const IPSEC = { type: "ipsec", config: { sas: "out.json" } };
export const NIDS = { type: "nids", config: { rules: "local.rules" } };
export const ROUTER = { type: "router", config: { routes: "routes.txt" } };

export interface Chain {
  readonly nfs: Readonly<Record<string, object>>;
  readonly policy: readonly string[];
  readonly rules?: string;
  readonly types?: object;
  readonly traffic?: object;
  readonly sas?: object;
}

export const IP_RULES = 'alert ip any any -> any any (msg:"a"; content:"EICAR-STANDARD"; sid:1;)';

/** A chain with all NFs on the device, with traffic of several kinds for it. */
export function filesOf({
  nfs,
  policy,
  rules = IP_RULES,
  types,
  traffic,
  sas,
}: Chain): Record<string, string | object> {
  const streams = [
    { weight: 4, size: "imix", payload: "text" },
    { weight: 2, proto: "tcp", dport: 80, size: 300, payload: "text" },
    { weight: 1, dst: "100.64.0.0/10", size: 64 },
  ];
  const ports = {
    in: {
      ...{ driver: "generator", count: PACKETS, flows: 100, hits: 0.05, rules: "hits.rules", seed },
      ...{ src: "10.1.0.0/16", dst: "10.2.0.0/16", streams },
      ...traffic,
    },
    out: { driver: "null" },
    lan: { driver: "null" },
  };
  return {
    "chain.json": { name: "forwarding", ports, ...(types && { types }), nfs, policy: "policy.csv" },
    "policy.csv": policy.join("\n"),
    "hits.rules": IP_RULES,
    "local.rules": rules,
    "routes.txt": "10.0.0.0/8 192.0.2.1 lan\n192.0.2.0/24 192.0.2.2 out\n10.2.128.0/17 192.0.2.3 out\n",
    "out.json": sas ?? { sas: [sa("out")] },
    "in.json": { sas: [sa("in")] },
  };
}

/** What forwarding must not change. */
function essence({ digest, alerts_digest, ledger, packets, bytes, nfs, ports }: RunResult): object {
  const tables = nfs.map(({ name, packets: n, bytes: b, outcomes }) => ({ name, n, b, outcomes }));
  const drops = ledger.drops.map((d) => `${d.nf} ${d.reason} ${d.packets}`).sort();
  return { digest, alerts_digest, packets, bytes, tables, drops, ports };
}

export const FORM = { kind: "webgpu", cores: "d1", workgroups: 2 } as const;

export interface Compared {
  readonly result: RunResult;
  readonly routed: RunResult;
  /** Packets that went on, by pair of NFs. */
  readonly hops: Readonly<Record<string, number>>;
}

/** Runs a chain without a device, with forwarding and without, and compares. */
export async function compared(
  chain: LoadedChain,
  onCpu: LoadedChain,
  form: Form,
  verifyL4 = false,
): Promise<Compared> {
  const ivSeed = r.u32();
  const about = `seed ${seed}, ${JSON.stringify(form)}`;
  const without = await runLoaded(onCpu, undefined, ivSeed, verifyL4);
  const result = await runLoaded(chain, form, ivSeed, verifyL4);
  const routed = await runLoaded(chain, { ...form, forwards: false }, ivSeed, verifyL4);
  for (const one of [result, routed]) {
    assert.is(one.failure, null, about);
    assert.ok(one.ledger.balanced && one.ledger.in_flight === 0, about);
    assert.equal(essence(one), essence(without), about);
  }
  assert.equal(routed.sync.hops, [], about);
  assert.is(routed.sync.forwarded, 0, about);
  const { hops, forwarded } = result.sync;
  assert.is(
    forwarded,
    hops.reduce((sum, { packets }) => sum + packets, 0),
    about,
  );
  return { result, routed, hops: Object.fromEntries(hops.map(({ from, to, packets }) => [`${from} ${to}`, packets])) };
}

export async function comparedFiles(
  files: Record<string, string | object>,
  more: Partial<Form> = {},
): Promise<Compared> {
  const cwd = folder(files);
  const names = Object.keys((files["chain.json"] as { nfs: object }).nfs);
  const form: Form = { ...FORM, place: names, ...more };
  const all = await compared(await load(cwd, names, form.place), await load(cwd, names, []), form);
  check(all.result, form, `seed ${seed}`);
  return all;
}

export const outcomesOf = ({ nfs }: RunResult, name: string) => nfs.find((nf) => nf.name === name)!.outcomes;
/** Rows that send every packet from stop to stop. */
export const line = (...stops: string[]) => stops.slice(1).map((next, i) => `*,${stops[i]},${next}`);
