import { test } from "uvu";
import * as assert from "uvu/assert";
import { Arena, MAX_FRAME } from "../runtime/packet/arena.js";
import { GATE_REASONS, Gate } from "../runtime/packet/gate.js";
import { place } from "./support/frames.js";
import { GateCheck } from "./support/gate-check.js";
import type { Verdict } from "./support/gate-reference.js";
import { dataFile, readPcap } from "./support/pcap.js";
import { freshSeed, Random } from "./support/random.js";
import { mutated, randomFrame } from "./support/random-frames.js";

const check = new GateCheck();
const seed = freshSeed();
const r = new Random(seed);

test("a batch: order, count, other slots untouched", () => {
  const arena = Arena.create(300);
  const gate = new Gate(arena);
  const slots = new Uint32Array(256);
  const expected: string[] = [];
  for (let i = 0; i < 256; i++) {
    slots[i] = (i * 7 + 3) % 300;
    const frame = mutated(r, randomFrame(r));
    place(arena, slots[i]!, frame, { offset: 128 + 2 * r.int(0, 90) });
    expected.push(check.compare(frame, r, false).reason);
  }
  const reasons = new Uint8Array(256).fill(99);
  const used = new Set(slots.subarray(0, 200));
  const idle = Array.from({ length: 300 }, (_, i) => i).filter((slot) => !used.has(slot));
  for (const slot of idle) arena.flags[slot] = 0x77;
  const dropped = gate.check(slots, 200, reasons);
  assert.equal(
    Array.from(reasons.subarray(0, 200), (code) => GATE_REASONS[code]),
    expected.slice(0, 200),
    `seed ${seed}`,
  );
  assert.is(dropped, expected.slice(0, 200).filter((reason) => reason !== "").length);
  assert.ok(reasons.subarray(200).every((code) => code === 99));
  assert.ok(idle.every((slot) => arena.flags[slot] === 0x77));
  arena.free();
});

test("random: valid, mutated and pure noise; fast gate and reference agree on everything", () => {
  const seen = new Map<string, number>();
  const count = (verdict: Verdict, kind: string) => {
    const flags = verdict.reason === "" ? ` ${verdict.flags.join("+")}` : "";
    const key = `${kind} ${verdict.reason}${flags}`;
    seen.set(key, (seen.get(key) ?? 0) + 1);
  };
  for (let i = 0; i < 20000; i++) {
    const frame = randomFrame(r, i % 100 === 0 ? 1600 : 120);
    if (frame.length > MAX_FRAME) continue;
    const placed = { offset: 2 * r.int(0, 136) };
    const valid = check.compare(frame, r, false, placed);
    assert.is(valid.reason, "", `seed ${seed}: a valid frame`);
    count(valid, "valid");
    count(check.compare(frame, r, true, placed), "verified");
    const bad = mutated(r, frame);
    count(check.compare(bad, r, false, placed), "mutated");
    count(check.compare(bad, r, true, placed), "verified-mutated");
    const noise = r.bytes(r.int(0, 120));
    if (r.chance(0.8) && noise.length > 15)
      noise.set(
        r.pick([
          [8, 0, 0x45],
          [8, 0, 0x46],
          [0x86, 0xdd, 0x60],
          [0x81, 0],
        ]),
        12,
      );
    count(check.compare(noise, r, r.chance(0.5)), "noise");
  }
  // The test has power only while its input reaches every answer.
  const total = (pattern: RegExp) => [...seen].reduce((sum, [key, n]) => sum + (pattern.test(key) ? n : 0), 0);
  for (const [pattern, least] of [
    [/^mutated runt/, 50],
    [/^mutated bad-length/, 2000],
    [/^mutated bad-checksum/, 400],
    [/^verified-mutated bad-checksum/, 1500],
    [/^mutated .*IPV6.*LATER/, 100],
    [/^mutated .*IPV4.*LATER/, 100],
    [/^mutated .*VLAN.*L4/, 500],
    [/^verified .*L4/, 5000],
    [/^noise bad-length/, 2000],
  ] as const) {
    assert.ok(total(pattern) >= least, `${pattern}: only ${total(pattern)} of ${least}; seed ${seed}`);
  }
});

const CAPTURES: ReadonlyArray<readonly [string, (reasons: Map<string, number>) => boolean]> = [
  ["malformed-ipv4_invalid_hdr_length", (s) => s.get("bad-length") === 1],
  ["malformed-ipv4_invalid_total_length", (s) => s.get("bad-length") === 1],
  ["malformed-udp-length-heapoverflow", (s) => !s.has("")],
  ["malformed-ip6_frag_asan", (s) => s.size === 1],
  ["QinQ", (s) => s.size === 1 && s.has("")],
  ["IPv4Frag", (s) => s.size === 1 && s.has("")],
  ["http-packets2", (s) => s.size === 1 && s.has("")],
  ["many-protocols", (s) => (s.get("") ?? 0) > 1000],
];
for (const [name, holds] of CAPTURES) {
  const path = dataFile(`pcap/${name}.pcap`);
  (path === undefined ? test.skip : test)(`capture ${name}`, () => {
    const reasons = new Map<string, number>();
    for (const { frame, wireLen } of readPcap(path!).records) {
      if (frame.length > MAX_FRAME) continue;
      const { reason } = check.compare(frame, r, false, { wireLen });
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
      check.compare(frame, r, true, { wireLen });
      check.compare(frame, r, true);
    }
    assert.ok(holds(reasons), `${name}: ${JSON.stringify([...reasons])}`);
  });
}

test.run();
