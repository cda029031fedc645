/** The SA file: what it may say, and what is said about what it may not. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { nf } from "../nfs/ipsec/index.js";
import { ConfigError } from "../runtime/errors.js";
import { Bench, freshSeed, loadText, Random, randomSa, type TestSa, udpFrame } from "./ipsec-support.js";

const random = new Random(freshSeed());
const out = (fields: object = {}) => ({ ...randomSa(random, { name: "a", direction: "out", spi: 5 }), ...fields });
const incoming = (fields: object = {}) => ({
  ...randomSa(random, { name: "b", direction: "in", spi: 105 }),
  ...fields,
});

/** Loads a file with these SAs and returns the message it is refused with. */
function refused(sas: unknown, ...words: string[]): string {
  let message = "";
  try {
    loadText(typeof sas === "string" ? sas : JSON.stringify({ sas }));
  } catch (error) {
    assert.instance(error, ConfigError);
    message = (error as Error).message;
  }
  assert.ok(message !== "", "nothing was refused");
  for (const word of ["sas.json", ...words]) assert.ok(message.includes(word), `"${word}" is missing in: ${message}`);
  return message;
}

test("the contract's example", () => {
  const loaded = loadText(
    JSON.stringify({
      sas: [
        {
          name: "a",
          direction: "out",
          spi: 5,
          src: "172.16.1.5",
          dst: "172.16.2.5",
          cipher: "aes-128-cbc",
          cipher_key: "00112233445566778899aabbccddeeff",
          auth: "sha1-hmac",
          auth_key: "00112233445566778899aabbccddeeff00112233",
          selector: { dst: "198.18.0.0/15" },
          esn: false,
          seq_start: 1,
        },
        incoming({ replay_window: 64 }),
      ],
    }),
  );
  assert.equal(
    loaded.sas.map((sa) => sa.name),
    ["a", "b"],
  );
});

test("errors name file, SA and key", () => {
  refused([out({ cipher_key: "0011" })], 'sas[0] "a"', "cipher_key", "32 hex digits", "found 4");
  refused([out({ auth_key: "0".repeat(32) })], 'sas[0] "a"', "auth_key", "40 hex digits", "found 32");
  refused([out({ cipher_key: `${"0".repeat(31)}g` })], "cipher_key", "character 32");
  refused([incoming(), out({ spi: 0 })], 'sas[1] "a"', "spi");
  refused([out({ spi: 2 ** 32 })], "spi");
  refused([out({ dst: "172.16.2" })], "dst", "IPv4");
  refused([out({ dst: "172.16.2.256" })], "dst", "IPv4");
  refused([out({ cipher: "des" })], "cipher", "aes-128-cbc");
  refused([out({ direction: "both" })], 'sas[0] "a"', "direction");
  refused([out({ colour: 1 })], 'sas[0] "a"', "colour", "known keys");
  refused([out({ replay_window: 64 })], 'sas[0] "a"', "replay_window");
  refused([incoming({ selector: {} })], 'sas[0] "b"', "selector");
  refused([incoming({ replay_window: 33 })], "replay_window");
  refused([incoming({ replay_window: 4128 })], "replay_window");
  refused([out({ selector: { dst: "10.0.0.1/8" } })], "selector.dst");
  refused([out({ selector: { port: "wan" } })], "selector.port", "wan", "in, out");
  refused([out({ seq_start: 0 })], "seq_start");
  refused([out({ seq_start: 2 ** 32 })], "seq_start", "esn");
  refused([out({ seq_start: "18446744073709551616", esn: true })], "seq_start");
  refused([], "sas");
  refused('{"sas": [\n{,}]}', "sas.json:2", "JSON");
});

test("duplicates", () => {
  refused([out(), incoming({ name: "a" })], 'sas[1] "a"', "name", 'sas[0] "a"');
  refused([out(), out({ name: "c" })], 'sas[1] "c"', "spi", 'sas[0] "a"');
  refused([incoming(), incoming({ name: "c" })], 'sas[1] "c"', "spi", 'sas[0] "b"');
  // The two ends of a tunnel in one file, and one SPI towards two destinations, are not duplicates.
  loadText(JSON.stringify({ sas: [out(), incoming({ spi: 5 }), out({ name: "d", dst: "172.16.2.6" })] }));
});

test("key material is never printed", () => {
  const secret = "c0ffee".repeat(5);
  for (const sa of [
    out({ cipher_key: secret }),
    out({ auth_key: secret, spi: 0 }),
    out({ cipher_key: secret, x: 1 }),
  ]) {
    assert.not.match(refused([sa]), /c0ffee/);
  }
  assert.not.match(refused(`{"sas":[{"cipher_key":"${secret}" "auth_key":1}]}`), /c0ffee/);
});

test("the module", () => {
  assert.is(nf.type, "ipsec");
  const names = [
    "protected",
    "opened",
    "bypass",
    "no-sa",
    "bad-icv",
    "replayed",
    "malformed",
    "too-big",
    "seq-exhausted",
  ];
  assert.equal(
    nf.outcomes.map(({ name }) => name),
    names,
  );
  assert.equal(
    nf.outcomes.map(({ drops }) => drops === true),
    [false, false, ...names.slice(2).map(() => true)],
  );
  assert.ok(nf.outcomes[1]!.reparse);
  assert.not.ok(nf.schema.safeParse({ sas: "x", other: 1 }).success);
});

test("selectors: the first match, among many SAs, more flows than the cache holds", () => {
  const seed = freshSeed();
  const rng = new Random(seed);
  const octet = () => rng.below(6);
  const sas: TestSa[] = Array.from({ length: 300 }, (_, i) => {
    const bits = i > 290 ? 15 : rng.pick([24, 24, 25, 27]);
    const address = [10, octet(), octet(), rng.below(256)].map(
      (byte, k) => byte & (0xff << Math.max(0, Math.min(8, 8 * (k + 1) - bits))) & 0xff,
    );
    const prefix = `${address.join(".")}/${bits}`;
    const selector = rng.pick([
      { dst: prefix },
      { dst: prefix },
      { dst: [prefix, "2001:db8::/32"] },
      { dst: prefix, proto: rng.pick(["udp", "tcp"]) },
      { dst: prefix, dport: `${41000 + rng.below(1000)}-42000` },
      { src: "198.18.0.0/17", dst: prefix },
      { dscp: rng.below(64), dst: prefix },
      { vlan: 1, dst: prefix },
      ...(i > 250 ? [{ src: "198.18.128.0/17", dscp: "0-20" }, { vlan: "2-3" }] : []),
    ]);
    return randomSa(rng, { name: `sa${i}`, direction: "out", spi: 256 + i, selector });
  });
  for (const table of [sas, sas.filter(({ selector }) => Object.keys(selector!).every((key) => key === "dst"))]) {
    const bench = new Bench(table, "portable", { seed });
    const used = new Set<number>();
    for (let round = 0; round < 60; round++) {
      const frames = Array.from({ length: 256 }, () =>
        udpFrame(rng, {
          payload: 4,
          version: rng.below(10) === 0 ? 6 : 4,
          vlanTags: rng.below(3),
          tos: rng.below(256),
          dst: `10.${octet()}.${octet()}.${rng.below(256)}`,
        }),
      );
      const expected = bench.expected(frames);
      bench.process(frames).forEach(({ outcome, frame }, i) => {
        assert.is(outcome, expected[i]!.outcome, `TEST_SEED=${seed}, ${frames[i]!.toString("hex")}`);
        if (outcome === "protected") {
          const spi = (bytes: Uint8Array) =>
            Buffer.from(bytes).readUInt32BE(bytes.length - frame.length + spiAt(frame));
          used.add(spi(frame));
          assert.is(spi(frame), spi(expected[i]!.frame), `TEST_SEED=${seed}`);
        }
      });
    }
    assert.ok(used.size > 20, `only ${used.size} SAs were used`);
    bench.close();
  }
});

/** Where the SPI stands behind Ethernet header, tags and an outer header of 20 bytes. */
function spiAt(frame: Buffer): number {
  let at = 14;
  while (frame.readUInt16BE(at - 2) !== 0x0800) at += 4;
  return at + 20;
}

test("statistics count for each SA, and say when it is exhausted", () => {
  const sas = [randomSa(random, { name: "a", direction: "out", spi: 5, seq_start: 2 ** 32 - 2 })];
  const bench = new Bench([...sas, { ...sas[0]!, name: "b", direction: "in" }], "portable");
  const frames = Array.from({ length: 3 }, () => udpFrame(random, { payload: 72 }));
  const sealed = bench.process(frames).filter(({ outcome }) => outcome === "protected");
  bench.process(sealed.map(({ frame }) => frame));
  const { each } = bench.nf.stats().sas as { each: Record<string, unknown>[] };
  const counted = { packets: 2, bytes: 200 };
  assert.equal(each[0], { name: "a", direction: "out", ...counted, next_seq: 2 ** 32, exhausted: true });
  assert.equal(each[1], { name: "b", direction: "in", ...counted, highest_seq: 2 ** 32 - 1 });
  bench.close();
});

test("in production IVs differ from packet to packet and from run to run", () => {
  const sas = [randomSa(random, { name: "a", direction: "out", spi: 5 })];
  const ivs = new Set<string>();
  for (let run = 0; run < 2; run++) {
    const bench = new Bench(sas, "portable");
    const frames = Array.from({ length: 200 }, () => udpFrame(random, { payload: 10 }));
    // More than a pool of random bytes holds, so that refills are seen too.
    for (let round = 0; round < 25; round++)
      for (const { frame } of bench.process(frames)) ivs.add(frame.toString("hex", 42, 58));
    bench.close();
  }
  assert.is(ivs.size, 2 * 25 * 200);
});

test.run();
