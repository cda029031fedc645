/** `--sizes` and `--placements`, and the inputs and chains that come of them. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type LoadedChain, loadChain } from "../runtime/chain/load.js";
import { type Placement, placementName } from "../runtime/experiment/cell.js";
import { PreparedInputs, prepareInputs } from "../runtime/experiment/input/prepare.js";
import { ableNfs, parsePlacements, placedChain, placeOnDevices } from "../runtime/experiment/placements.js";
import { ALL_SIZES, parseSizes } from "../runtime/experiment/sizes.js";
import type { PortConfig } from "../runtime/nic/drivers.js";
import { generate } from "../runtime/nic/generator/generate.js";
import { CaptureWriter } from "../runtime/nic/pcap/writer.js";
import { folder, gateway } from "./chain-support.js";
import { esp, ethernet, ipv4 } from "./support/frames.js";
import { readPcap } from "./support/pcap.js";

async function refused(work: () => unknown, ...parts: RegExp[]): Promise<void> {
  let message = "nothing was thrown";
  try {
    await work();
  } catch (error) {
    assert.is((error as Error).name, "ConfigError");
    message = (error as Error).message;
  }
  for (const part of parts) assert.match(message, part);
}

test("sizes: every form, each once, in the order given", () => {
  assert.equal(parseSizes("64, 1472,IMIX,as-is,64"), [64, 1472, "imix", "as-is"]);
  assert.equal(parseSizes("1760,60"), [1760, 60]);
  assert.equal(parseSizes("all"), [...ALL_SIZES]);
});

for (const text of ["59", "1761", "0", "65536", "", "64,", "small", "64.5", "-64", "0x40", "1e3"]) {
  test(`sizes: "${text}" is refused with the range`, async () => {
    await refused(() => parseSizes(text), /--sizes/, /60 to 1760/, /imix/);
  });
}

const ONLY_CPU = `
  export const nf = { type: "counter", outcomes: [{ name: "ok" }], create: () => ({ process(batch) { batch.outcomes.fill(0, 0, batch.count); } }) };
`;

async function chainOf(files = gateway(500), change: (chain: Record<string, unknown>) => void = () => {}) {
  const chain = structuredClone(files["chain.json"]) as Record<string, unknown>;
  change(chain);
  const cwd = folder({ ...files, "chain.json": chain });
  return { cwd, chain: await loadChain(join(cwd, "chain.json"), { warn: () => {} }) };
}

const names = (placements: readonly Placement[]) => placements.map(placementName);

test("placements: all of them, by how many NFs are on the GPU; the others stay where they are", async () => {
  const { chain } = await chainOf();
  assert.equal(ableNfs(chain), ["protect", "open", "nids", "router"]);
  const { placements, named } = parsePlacements(undefined, chain);
  assert.not(named);
  assert.is(placements.length, 16);
  assert.is(new Set(names(placements)).size, 16);
  assert.equal(names(placements).slice(0, 3), ["all on cpu", "protect on gpu", "open on gpu"]);
  assert.is(names(placements)[15], "protect+open+nids+router on gpu");
});

test("placements: those that are named, in the order given, each once", async () => {
  const { chain } = await chainOf();
  const { placements, named } = parsePlacements("nids, router+nids,cpu,gpu,nids+router", chain);
  assert.ok(named);
  const want = ["nids on gpu", "nids+router on gpu", "all on cpu", "protect+open+nids+router on gpu"];
  assert.equal(names(placements), want);
  assert.equal(placements[0], { protect: "cpu", open: "cpu", nids: "gpu", router: "cpu" });
  assert.not(parsePlacements("all", chain).named);
  const placed = placedChain(chain, placements[1]!);
  assert.equal(
    placed.nfs.map(({ place }) => place),
    ["cpu", "cpu", "gpu", "gpu"],
  );
  assert.equal(
    chain.nfs.map(({ place }) => place),
    ["cpu", "cpu", "cpu", "cpu"],
  );
});

test("placements: what is no NF, or cannot be on a GPU, is refused with what can be", async () => {
  const files = { ...gateway(500), "counter.mjs": ONLY_CPU };
  const { chain } = await chainOf(files, (chain) => {
    (chain.nfs as Record<string, unknown>).count = { type: "./counter.mjs" };
  });
  await refused(
    () => parsePlacements("nids+cont", chain),
    /found "cont"/,
    /count/,
    /can be on a GPU: protect, open, nids/,
  );
  await refused(
    () => parsePlacements("count", chain),
    /NF count .* runs on the CPU only/,
    /protect, open, nids, router/,
  );
  await refused(() => parsePlacements("", chain), /found ""/);
  await refused(() => parsePlacements("nids,,cpu", chain), /found ""/);
  // 2^n takes no notice of it.
  assert.is(parsePlacements(undefined, chain).placements.length, 16);
});

test("placements: all of too many NFs are refused, named ones of them are not", async () => {
  const { chain } = await chainOf(gateway(500), (chain) => {
    const nfs = chain.nfs as Record<string, unknown>;
    for (let i = 0; i < 3; i++) nfs[`extra${i}`] = nfs.router;
  });
  await refused(() => parsePlacements(undefined, chain), /7 NFs .* are 128/, /--placements/);
  assert.is(parsePlacements("extra0+extra1", chain).placements.length, 1);
});

test("placements on devices: all on the CPU once; what a device cannot take is left out and said, or refused where it was named", async () => {
  const { chain } = await chainOf();
  const lines: string[] = [];
  const all = parsePlacements(undefined, chain);
  const placed = placeOnDevices(chain, all, ["opencl", "gpujs:cpu"], (line) => lines.push(line));
  assert.is(placed.filter(({ device }) => device === "none").length, 1);
  assert.is(placed.filter(({ device }) => device === "opencl").length, 15);
  const onGpuJs = placed
    .filter(({ device }) => device === "gpujs:cpu")
    .map(({ placement }) => placementName(placement));
  assert.equal(onGpuJs, ["nids on gpu", "router on gpu", "nids+router on gpu"]);
  assert.is(lines.length, 12);
  assert.match(lines[0]!, /protect on gpu is left out for gpujs:cpu: .*ipsec/);
  const named = parsePlacements("open+nids", chain);
  await refused(
    () => placeOnDevices(chain, named, ["opencl", "gpujs"], () => {}),
    /open\+nids on gpu.*gpujs.*ipsec/,
    /gpujs can take: nids, router/,
  );
  await refused(() => placeOnDevices(chain, named, ["none"], () => {}), /no device/, /--devices/);
  assert.is(placeOnDevices(chain, named, ["opencl"], () => {}).length, 1);
  assert.equal(
    placeOnDevices(chain, all, [], () => {}).map(({ device }) => device),
    ["none"],
  );
});

function inPort(chain: LoadedChain, ports: ReadonlyMap<string, PortConfig>): PortConfig {
  assert.equal(
    [...ports.keys()],
    chain.ports.filter(({ rx }) => rx).map(({ name }) => name),
  );
  return ports.get("in")!;
}

test("a generator makes frames of the size, whatever its streams say; as-is leaves it alone", async () => {
  const { chain, cwd } = await chainOf();
  const options = { seed: 1, scratch: join(cwd, "scratch"), warn: (line: string) => assert.unreachable(line) };
  const as = await prepareInputs(chain, "as-is", options);
  assert.is(inPort(chain, as.ports), chain.ports[0]!.config);
  for (const size of [512, "imix"] as const) {
    const config = inPort(chain, (await prepareInputs(chain, size, options)).ports);
    assert.is(config.driver, "generator");
    if (config.driver !== "generator") return;
    assert.is(config.size, size);
    assert.ok(config.streams!.every((stream) => stream.size === undefined));
    assert.is(config.count, 500);
    const { driver: _, ...keys } = config;
    const out = join(cwd, "made.pcap");
    generate(out, { ...keys, rules: join(cwd, "local.rules") });
    const sizes = new Set(readPcap(out).records.map(({ frame }) => frame.length));
    if (size === 512) assert.equal([...sizes], [512]);
    else assert.ok(sizes.has(570) && sizes.has(1518));
  }
  assert.not(existsSync(options.scratch), "nothing was to be written");
  // Its streams have TCP and IPv6.
  await refused(() => prepareInputs(chain, 60, options), /--sizes: 60: .*62 bytes of headers|--sizes: 60: .*payload/);
});

test("a capture is resized once for each size, and what has another length is said", async () => {
  const made = folder();
  const options = { size: 300, count: 400, flows: 20, tcp: 0.5, ipv6: 0.5, seed: 3 };
  generate(join(made, "some.pcap"), options);
  const writer = new CaptureWriter(join(made, "in.pcap"));
  const tunnel = ethernet({}, ipv4({}, esp(1, 1, new Uint8Array(80))));
  for (const { frame } of readPcap(join(made, "some.pcap")).records) {
    const bytes = { u8: frame, view: new DataView(frame.buffer) };
    writer.record(bytes, 0, frame.length, 1_700_000_000, writer.packets);
  }
  for (let i = 0; i < 5; i++) {
    writer.record({ u8: tunnel, view: new DataView(tunnel.buffer) }, 0, tunnel.length, 1_700_000_001, i);
  }
  writer.close();
  const { chain, cwd } = await chainOf(gateway(500), (chain) => {
    (chain.ports as Record<string, unknown>).in = { driver: "pcap", file: join(made, "in.pcap"), mtu: 1400 };
  });
  const lines: string[] = [];
  const scratch = join(cwd, "deep", "scratch");
  const inputs = new PreparedInputs(chain, { seed: 7, scratch, warn: (line) => lines.push(line) });
  const [a, b] = await Promise.all([inputs.for(64), inputs.for(64)]);
  assert.is(a, b);
  assert.is((await inputs.for("as-is")).captures.length, 0);
  const { counts, port, file } = a.captures[0]!;
  assert.equal([port, file], ["in", join(made, "in.pcap")]);
  assert.is(counts.packets, 405);
  assert.equal(counts.kept, { esp: 5 });
  // TCP over IPv6 has 74 bytes of headers.
  assert.ok(counts.headersOnly > 0);
  assert.is(counts.resized + counts.headersOnly, 400);
  assert.is(lines.length, 1);
  assert.match(lines[0]!, /port in, .*in\.pcap at 64 bytes: \d+ of 405 frames have a length of their own/);
  assert.match(lines[0]!, /5 as they were: frames of ESP, which cannot be resized without keys/);
  const config = inPort(chain, a.ports) as Extract<PortConfig, { driver: "pcap" }>;
  assert.equal([config.driver, config.mtu, config.file], ["pcap", 1400, join(scratch, "in-64.pcap")]);
  const { records } = readPcap(config.file);
  assert.ok(records.every(({ frame }) => frame.length <= 134));
  assert.is(records.filter(({ frame }) => frame.length === 64).length, counts.resized);
  await inputs.for(1000);
  assert.equal(readdirSync(scratch).sort(), ["in-1000.pcap", "in-64.pcap"]);
  assert.match(lines[1]!, /at 1000 bytes: 5 of 405/);
  await refused(() => inputs.for(2000), /--sizes/, /60 to 1760/);
});

test("a size that changes no frame is refused: there is nothing but ESP, or nothing at all", async () => {
  const made = folder();
  const tunnel = ethernet({}, ipv4({}, esp(1, 1, new Uint8Array(80))));
  for (const packets of [3, 0]) {
    const writer = new CaptureWriter(join(made, "in.pcap"));
    const bytes = { u8: tunnel, view: new DataView(tunnel.buffer) };
    for (let i = 0; i < packets; i++) writer.record(bytes, 0, tunnel.length, 1, i);
    writer.close();
    const { chain, cwd } = await chainOf(gateway(500), (chain) => {
      (chain.ports as Record<string, unknown>).in = { driver: "pcap", file: join(made, "in.pcap") };
    });
    const options = { seed: 1, scratch: join(cwd, "scratch"), warn: () => {} };
    const what = packets === 0 ? /in\.pcap: 0 frames/ : /in\.pcap: 3 frames \(3 as they were: frames of ESP/;
    await refused(() => prepareInputs(chain, 512, options), /--sizes: 512: no frame/, what, /as-is/);
    assert.is((await prepareInputs(chain, "as-is", options)).ports.size, 1);
  }
});

test("outputs of NFs go elsewhere where a chain is loaded so, and are still said to be the user's", async () => {
  const files = gateway(500);
  const cwd = folder(files);
  const elsewhere = join(cwd, "elsewhere.jsonl");
  const asked: string[] = [];
  const redirect = (file: string) => {
    asked.push(file);
    return elsewhere;
  };
  const chain = await loadChain(join(cwd, "chain.json"), { redirect, warn: (line) => assert.unreachable(line) });
  assert.equal(asked, [join(cwd, "alerts.jsonl")]);
  const nids = chain.nfs.find(({ name }) => name === "nids")!;
  assert.equal(nids.outputs, [join(cwd, "alerts.jsonl")]);
  assert.is((nids.loaded as { alerts: string }).alerts, elsewhere);
  // What NFs read is read where it is.
  assert.match(readFileSync(join(cwd, "local.rules"), "utf8"), /cmd\.exe/);
});

test("an NF that does not ask where to write is told of", async () => {
  const writes = `${ONLY_CPU.replace("create:", 'outputs: () => ["mine.txt"], create:')}`;
  const chain = structuredClone(gateway(500)["chain.json"]) as { nfs: Record<string, unknown> };
  chain.nfs.count = { type: "./counter.mjs" };
  const path = folder({ ...gateway(500), "counter.mjs": writes, "chain.json": chain });
  const lines: string[] = [];
  await loadChain(join(path, "chain.json"), { redirect: () => "/dev/null", warn: (line) => lines.push(line) });
  assert.is(lines.filter((line) => /NF count writes .*mine\.txt and does not ask where/.test(line)).length, 1);
  lines.length = 0;
  await loadChain(join(path, "chain.json"), { warn: (line) => lines.push(line) });
  assert.is(lines.filter((line) => /does not ask/.test(line)).length, 0);
});

test.run();
