/** Resized captures against a plain second implementation, on random frames of every kind, and what tshark says of real ones. */
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type ResizeCounts, resizeCapture } from "../runtime/experiment/input/capture.js";
import { Random as Dice } from "../runtime/nic/generator/random.js";
import { openReader } from "../runtime/nic/pcap/open.js";
import { END, RECORD } from "../runtime/nic/pcap/reader.js";
import { folder } from "./chain-support.js";
import { skipUnless } from "./skip.js";
import { concat, ethernet, ipv4, ipv6, routing6, udp } from "./support/frames.js";
import { dataFile } from "./support/pcap.js";
import { freshSeed, Random } from "./support/random.js";
import { mutated, randomFrame } from "./support/random-frames.js";
import { keptReason, resizeReference } from "./support/resize-reference.js";

interface Item {
  readonly frame: Uint8Array;
  readonly wire: number;
  readonly sec: number;
  readonly nsec: number;
}

/** A capture with nanosecond magic. */
function capture(items: readonly Item[], linkType = 1): Buffer {
  const head = Buffer.from("4d3cb2a1020004000000000000000000000004000000000000", "hex").subarray(0, 24);
  head.writeUInt32LE(linkType, 20);
  const records = items.flatMap(({ frame, wire, sec, nsec }) => {
    const record = Buffer.alloc(16);
    for (const [i, word] of [sec, nsec, frame.length, wire].entries()) record.writeUInt32LE(word, 4 * i);
    return [record, frame];
  });
  return Buffer.concat([head, ...records]);
}

async function read(file: string): Promise<Item[]> {
  const reader = await openReader(file, () => {});
  const items: Item[] = [];
  for (let found = reader.next(); found !== END; found = reader.next()) {
    if (found !== RECORD) {
      await reader.source.ready();
      continue;
    }
    const { source, at, captured, original, tsSec, tsNsec } = reader;
    items.push({ frame: source.u8.slice(at, at + captured), wire: original, sec: tsSec, nsec: tsNsec });
  }
  reader.source.close();
  return items;
}

const TOO_LONG = 1760;

/** What has to become of a capture, frame by frame. */
function expected(
  items: readonly Item[],
  size: number | "imix",
  seed: number,
): { items: Item[]; counts: ResizeCounts } {
  const fill = new Dice(seed);
  const order = new Dice((seed ^ 0x9e3779b9) >>> 0);
  let deck: number[] = [...Array(28).fill(64), ...Array(16).fill(570), ...Array(4).fill(1518)];
  let dealt: number[] = [];
  const nextSize = () => {
    if (size !== "imix") return size;
    if (deck.length === 0) {
      deck = dealt;
      dealt = [];
    }
    // The gap is closed with the last card; those dealt lie on a pile, the newest on top.
    const at = order.below(deck.length);
    dealt.unshift(deck[at]!);
    deck[at] = deck.at(-1)!;
    deck.pop();
    return dealt[0]!;
  };
  const verdicts: Record<string, number> = {};
  const out = items.map((item) => {
    const { frame, wire } = item;
    const kept = keptReason(frame, frame.length < wire, frame.length > TOO_LONG);
    const resized =
      kept === undefined
        ? resizeReference(frame, nextSize(), (bytes) => {
            const filling = new Uint8Array(bytes);
            fill.fill(filling, 0, bytes);
            return filling.map((byte) => byte | 0x80);
          })
        : { frame, verdict: kept };
    verdicts[resized.verdict] = (verdicts[resized.verdict] ?? 0) + 1;
    return kept === undefined ? { ...item, frame: resized.frame, wire: resized.frame.length } : item;
  });
  const { cut = 0, same = 0, filled = 0, "headers-only": headersOnly = 0, ...kept } = verdicts;
  return {
    items: out,
    counts: { packets: items.length, resized: cut + same + filled, cut, filled, headersOnly, kept },
  };
}

const seed = freshSeed();

test(`random frames, every kind and spoilt, as a plain implementation resizes them (seed ${seed})`, async () => {
  const r = new Random(seed);
  const path = folder();
  const seen = new Set<string>();
  for (let round = 0; round < 12; round++) {
    const items = Array.from({ length: 700 }, (_, i): Item => {
      const longest = r.pick([40, 200, 1500, 1900]);
      const whole = r.chance(0.15) ? mutated(r, randomFrame(r, longest)) : randomFrame(r, longest);
      const wire = whole.length + (r.chance(0.03) ? r.int(1, 3000) : 0);
      return { frame: whole, wire, sec: 1_700_000_000 + i, nsec: r.int(0, 999_999_999) };
    });
    const size = round === 0 ? "imix" : r.pick([60, 64, 65, 128, 129, 512, 1472, 1759, 1760, r.int(60, 1760)]);
    const fillSeed = r.u32();
    const about = `seed ${seed}, round ${round}, size ${size}`;
    writeFileSync(join(path, "in.pcap"), capture(items));
    const out = join(path, "out.pcap");
    const counts = await resizeCapture(join(path, "in.pcap"), out, size, fillSeed, (line) => assert.unreachable(line));
    const want = expected(items, size, fillSeed);
    const got = await read(out);
    assert.is(got.length, items.length, about);
    got.forEach((item, i) => {
      const right = want.items[i]!;
      const byte = item.frame.findIndex((one, at) => one !== right.frame[at]);
      assert.is(byte, -1, `${about}, frame ${i}, byte ${byte}`);
      assert.is(item.frame.length, right.frame.length, `${about}, frame ${i}`);
      assert.equal([item.wire, item.sec, item.nsec], [right.wire, right.sec, right.nsec], `${about}, frame ${i}`);
    });
    assert.equal(counts, want.counts, about);
    for (const reason of [...Object.keys(counts.kept), ...(counts.headersOnly > 0 ? ["headers-only"] : [])]) {
      seen.add(reason);
    }
    // The same once more, and another fill with another seed.
    const bytes = readFileSync(out);
    await resizeCapture(join(path, "in.pcap"), out, size, fillSeed, () => {});
    assert.is(Buffer.compare(readFileSync(out), bytes), 0, about);
  }
  assert.equal(
    [...seen].sort(),
    ["ah", "esp", "fragment", "gate", "headers-only", "non-ip", "protocol"],
    `seed ${seed}`,
  );
});

test("a packet on its way through a routing header keeps a checksum that is right at its end", async () => {
  const finalDst = "2001:db8:9::9";
  const make = (payload: Uint8Array) =>
    ethernet({}, ipv6({ extensions: [routing6(1, finalDst)], finalDst }, udp({}, payload)));
  const path = folder();
  const r = new Random(seed);
  const item = { frame: make(r.bytes(33)), wire: 0, sec: 1, nsec: 2 };
  writeFileSync(join(path, "in.pcap"), capture([{ ...item, wire: item.frame.length }]));
  for (const size of [102, 103, 300, 1001]) {
    await resizeCapture(join(path, "in.pcap"), join(path, "out.pcap"), size, 1, () => {});
    const [{ frame } = item] = await read(join(path, "out.pcap"));
    assert.is(frame.length, size);
    // Made anew from its own payload, whose checksum ends at the final destination.
    assert.equal(Buffer.from(frame), Buffer.from(make(frame.slice(14 + 40 + 24 + 8))), `size ${size}, seed ${seed}`);
  }
});

test("raw IP gets the Ethernet header it is read with, and frames too long for a slot stay so", async () => {
  const path = folder();
  const packet = ipv4({}, udp({ sport: 1, dport: 2 }, new Uint8Array(100).fill(65)));
  const jumbo = ipv4({}, udp({}, new Uint8Array(5000)));
  const items = [packet.bytes, jumbo.bytes].map((frame, i) => ({ frame, wire: frame.length, sec: i, nsec: 0 }));
  writeFileSync(join(path, "raw.pcap"), capture(items, 101));
  const counts = await resizeCapture(join(path, "raw.pcap"), join(path, "out.pcap"), 64, 1, () => {});
  assert.equal(counts, { packets: 2, resized: 1, cut: 1, filled: 0, headersOnly: 0, kept: { gate: 1 } });
  const [small, large] = await read(join(path, "out.pcap"));
  const around = { dst: [2, 0, 0, 0, 0, 2], src: [2, 0, 0, 0, 0, 1] };
  const cut = ipv4({}, udp({ sport: 1, dport: 2 }, new Uint8Array(22).fill(65)));
  assert.equal(Buffer.from(small!.frame), Buffer.from(ethernet(around, cut)));
  assert.equal(Buffer.from(large!.frame), Buffer.from(ethernet(around, jumbo)));
});

test("a capture that is damaged in the middle is refused, and nothing half-made is left", async () => {
  const path = folder();
  const frame = ethernet({}, ipv4({}, udp({}, new Uint8Array(50))));
  const good = capture([{ frame, wire: frame.length, sec: 0, nsec: 0 }]);
  writeFileSync(join(path, "in.pcap"), concat(good, new Uint8Array(16).fill(0xff)));
  const out = join(path, "out.pcap");
  try {
    await resizeCapture(join(path, "in.pcap"), out, 64, 1, () => {});
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, /record 2 at byte/);
  }
  assert.throws(() => readFileSync(out), /ENOENT/);
});

test("a capture that has no room in memory at a size is refused with as much of it as has", async () => {
  const path = folder();
  const frame = ethernet({}, ipv4({}, udp({}, new Uint8Array(50))));
  const items = Array.from({ length: 2000 }, (_, sec) => ({ frame, wire: frame.length, sec, nsec: 0 }));
  const [file, out] = [join(path, "in.pcap"), join(path, "out.pcap")];
  writeFileSync(file, capture(items));
  await resizeCapture(file, out, 64, 1, () => {}, 2 ** 20);
  try {
    await resizeCapture(file, out, 1472, 1, () => {}, 2 ** 20);
    assert.unreachable();
  } catch (error) {
    assert.is((error as Error).name, "ConfigError");
    const said = /frames of 1472 bytes it takes more than 1 MiB .*editcap -r \S+in.pcap OUT 1-(\d+)$/s;
    const [, packets] = said.exec((error as Error).message)!;
    writeFileSync(file, capture(items.slice(0, Number(packets))));
    await resizeCapture(file, out, 1472, 1, () => {}, 2 ** 20);
  }
});

const CAPTURES = [
  "http-packets2.pcap",
  "many-protocols.pcap",
  "IPv4Frag.pcap",
  "QinQ.pcap",
  "pcapng_le_test001.pcapng",
];
const FIELDS = ["frame.len", ...["ip", "tcp", "udp", "icmp", "icmpv6"].map((layer) => `${layer}.checksum.status`)];
const isThere = spawnSync("tshark", ["--version"]).status === 0;

for (const name of CAPTURES) {
  test(`tshark finds every length and checksum of ${name} right`, async () => {
    if (skipUnless(isThere, "tshark is not installed: apt-get install tshark")) return;
    const file = dataFile(`pcap/${name}`);
    if (skipUnless(file !== undefined, `pcap/${name} is missing; set WINGBEAT_DATA`)) return;
    const path = folder();
    const plain = join(path, "plain.pcap");
    // As the resizer sees it, so that frames have one link type.
    const items = await read(file!);
    let checked = 0;
    for (const size of [64, 1000]) {
      const counts = await resizeCapture(file!, plain, size, 1, () => {});
      const want = expected(items, size, 1);
      assert.equal(counts, want.counts);
      const checks = ["ip", "tcp", "udp"].flatMap((layer) => ["-o", `${layer}.check_checksum:TRUE`]);
      const apart = ["-o", "tcp.desegment_tcp_streams:FALSE", "-o", "ip.defragment:FALSE"];
      const fields = ["-T", "fields", "-E", "occurrence=f", ...FIELDS.flatMap((field) => ["-e", field])];
      const output = execFileSync("tshark", ["-n", "-r", plain, ...checks, ...apart, ...fields], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
        maxBuffer: 64 * 1024 * 1024,
      });
      const lines = output.trimEnd().split("\n");
      assert.is(lines.length, items.length);
      lines.forEach((line, i) => {
        if (keptReason(items[i]!.frame, items[i]!.frame.length < items[i]!.wire) !== undefined) return;
        const [length, ...statuses] = line.split("\t");
        assert.is(Number(length), want.items[i]!.frame.length, `${name}, frame ${i + 1}`);
        // 0 is bad, 1 good; 2 unverified, as where UDP has none.
        const bad = statuses.some((status) => status === "0" || status === "Bad");
        assert.not(bad, `${name} at ${size}, frame ${i + 1}: ${FIELDS.join()} ${line}`);
        if (statuses.some((status) => status === "1" || status === "Good")) checked++;
      });
      assert.is(counts.resized + counts.headersOnly > 0, checked > 0, "what was resized was checked");
    }
  });
}

test.run();
