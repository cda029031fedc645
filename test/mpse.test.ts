/**
 * Every search engine against the naive reference: on random sets of overlapping patterns over small alphabets, where nearly every
 * edge case happens by itself, and on the edge cases by name.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { AhoCorasick } from "../nfs/nids/mpse/aho-corasick.js";
import { HyperscanMpse } from "../nfs/nids/mpse/hyperscan.js";
import { loadHyperscan } from "../nfs/nids/mpse/hyperscan-library.js";
import { openMpse } from "../nfs/nids/mpse/index.js";
import type { Mpse, Pattern } from "../nfs/nids/mpse/mpse.js";
import { PairFilter } from "../nfs/nids/mpse/pair-filter.js";
import { ReferenceMpse } from "../nfs/nids/mpse/reference.js";
import { RunError } from "../runtime/errors.js";
import { Arena, SLOT_SIZE } from "../runtime/packet/arena.js";
import { MAX_BATCH } from "../runtime/packet/batch.js";

const seed = Number(process.env.WINGBEAT_TEST_SEED ?? Date.now() % 1_000_000_007);
let state = seed >>> 0 || 1;
/** Uniform integer below n (xorshift32). */
function random(n: number): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % n;
}

const arena = Arena.create(MAX_BATCH);
const starts = new Uint32Array(MAX_BATCH);
const lengths = new Uint32Array(MAX_BATCH);
const text = (s: string) => Uint8Array.from(s, (c) => c.charCodeAt(0));

type Engine = readonly [name: string, open: (patterns: readonly Pattern[]) => Mpse];
const engines: Engine[] = [
  ["pair-filter", (patterns) => new PairFilter(patterns, arena)],
  ["aho-corasick", (patterns) => new AhoCorasick(patterns, arena)],
];
const hs = loadHyperscan();
if (typeof hs === "string") console.log(`skipped hyperscan: ${hs}; remedy: apt-get install libhyperscan5`);
else engines.push(["hyperscan", (patterns) => new HyperscanMpse(hs, patterns, arena)]);

/** Compares scan and identify with the reference over packets [0, count). */
function compare(mpse: Mpse, patterns: readonly Pattern[], count: number, what: string): number {
  const reference = new ReferenceMpse(patterns, arena);
  const wanted = new Uint32Array(MAX_BATCH);
  const hits = new Uint32Array(MAX_BATCH);
  const wantedHits = reference.scan(starts, lengths, count, wanted);
  const n = mpse.scan(starts, lengths, count, hits);
  const where = `${mpse.engine}, seed ${seed}, ${what}`;
  assert.equal([...hits.subarray(0, n)], [...wanted.subarray(0, wantedHits)], `${where}: packets that hit`);
  const out = new Uint32Array(patterns.length);
  const wantedOut = new Uint32Array(patterns.length);
  for (let i = 0; i < count; i++) {
    const m = mpse.identify(starts[i]!, lengths[i]!, out);
    const wantedM = reference.identify(starts[i]!, lengths[i]!, wantedOut);
    const range = `packet ${i} at ${starts[i]} length ${lengths[i]}`;
    assert.equal([...out.subarray(0, m)], [...wantedOut.subarray(0, wantedM)], `${where}: patterns of ${range}`);
  }
  return n;
}

/** Packets of given lengths at random places in their slots, random bytes of `alphabet` everywhere in the arena. */
function fill(count: number, alphabet: Uint8Array, lengthOf: (i: number) => number): void {
  for (let k = 0; k < count * SLOT_SIZE; k++) arena.u8[k] = alphabet[random(alphabet.length)]!;
  for (let i = 0; i < count; i++) {
    lengths[i] = lengthOf(i);
    starts[i] = i * SLOT_SIZE + random(SLOT_SIZE - lengths[i]! + 1);
  }
}

function randomPatterns(n: number, alphabet: Uint8Array, longest: number): Pattern[] {
  return Array.from({ length: n }, () => ({
    bytes: Uint8Array.from({ length: 1 + random(longest) }, () => alphabet[random(alphabet.length)]!),
    nocase: random(2) === 0,
  }));
}

const tests = suite("mpse");

for (const [name, open] of engines) {
  tests(`${name}: random patterns, lengths and counts over small alphabets`, () => {
    const alphabets = [text("aAbB"), text("abcdefgh"), Uint8Array.of(0, 1, 0x20, 0x40, 0x60, 0xff), text("@`[{aZ\0")];
    for (let round = 0; round < 24; round++) {
      const alphabet = alphabets[round % alphabets.length]!;
      const patterns = randomPatterns(1 + random(40), alphabet, round < 12 ? 5 : 12);
      const mpse = open(patterns);
      for (const longest of [0, 3, 9, 40, 200]) {
        const count = 1 + random(20);
        fill(count, alphabet, () => random(longest + 1));
        compare(mpse, patterns, count, `round ${round}`);
      }
      mpse.close();
    }
  });

  tests(`${name}: few hits in random bytes, lengths 0 to 1700 in one batch, count 1 to ${MAX_BATCH}`, () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, k) => k);
    const patterns = randomPatterns(60, text("aAbBcCdDeE 01/|"), 20).filter((pattern) => pattern.bytes.length >= 3);
    const mpse = open(patterns);
    for (const count of [1, 2, 7, 8, 9, 63, 64, 65, MAX_BATCH]) {
      fill(count, bytes, () => (random(2) === 0 ? random(64) : random(1701)));
      for (let i = 0; i < count; i++) {
        // At the first or last byte, or across an end, where it must not count.
        const pattern = patterns[random(patterns.length)]!.bytes;
        const end = starts[i]! + lengths[i]!;
        const places = [starts[i]!, end - pattern.length, starts[i]! - 1, end - pattern.length + 1];
        const place = places[random(16)];
        if (place !== undefined && place >= 0 && place + pattern.length < arena.u8.length) arena.u8.set(pattern, place);
      }
      compare(mpse, patterns, count, `count ${count}`);
    }
    mpse.close();
  });

  tests(`${name}: one pattern inside another, case and not, one byte, zero bytes, all 256 bytes`, () => {
    const patterns: Pattern[] = [
      ...["she", "he", "his", "hers", "S", "ushers", "rs", "HE", "hE"].map((s) => ({ bytes: text(s), nocase: false })),
      ...["HE", "x", "\0", "\0\0\0", "Hers "].map((s) => ({ bytes: text(s), nocase: true })),
      { bytes: Uint8Array.from({ length: 256 }, (_, k) => k), nocase: false },
    ];
    const mpse = open(patterns);
    const samples = [
      "ushers",
      "USHERS",
      "hE",
      "X",
      "",
      "\0",
      "ab\0\0\0cd",
      "s",
      "S",
      "her",
      "hers ",
      "nothing at",
      "sh",
      "e",
    ];
    for (let shift = 0; shift < 8; shift++) {
      arena.u8.fill(0x71);
      samples.forEach((sample, i) => {
        starts[i] = i * SLOT_SIZE + 100 + shift;
        lengths[i] = sample.length;
        arena.u8.set(text(sample), starts[i]!);
      });
      const last = samples.length;
      starts[last] = last * SLOT_SIZE + SLOT_SIZE - 256 - shift;
      lengths[last] = 256;
      arena.u8.set(patterns.at(-1)!.bytes, starts[last]!);
      assert.is.not(compare(mpse, patterns, last + 1, `shift ${shift}`), 0);
    }
    mpse.close();
  });

  tests(`${name}: neighbours in memory do not complete one another's patterns`, () => {
    const patterns: Pattern[] = [{ bytes: text("abcdefgh"), nocase: false }];
    const mpse = open(patterns);
    for (let cut = 0; cut <= 8; cut++) {
      arena.u8.fill(0x20);
      arena.u8.set(text("abcdefgh"), 64 - cut);
      for (const [i, [start, length]] of [
        [0, 64],
        [64, 64],
        [128, 0],
        [64 - cut, 8],
      ].entries()) {
        starts[i] = start!;
        lengths[i] = length!;
      }
      compare(mpse, patterns, 4, `cut ${cut}`);
    }
    mpse.close();
  });

  tests(`${name}: every byte of every packet a match`, () => {
    const patterns: Pattern[] = [
      { bytes: text("a"), nocase: true },
      { bytes: text("aa"), nocase: false },
      { bytes: text("AAAAAAAA"), nocase: true },
    ];
    const mpse = open(patterns);
    fill(MAX_BATCH, text("a"), (i) => (i % 3 === 0 ? 0 : random(1500)));
    compare(mpse, patterns, MAX_BATCH, "flood");
    mpse.close();
  });

  tests(`${name}: three thousand patterns`, () => {
    const alphabet = text("abcdefghijklmnopqrstuvwxyz/.=ABC");
    const patterns = randomPatterns(3000, alphabet, 25).filter((pattern) => pattern.bytes.length > 3);
    const mpse = open(patterns);
    fill(8, alphabet, () => random(600));
    for (let i = 0; i < 8; i++) {
      const { bytes } = patterns[random(patterns.length)]!;
      if (bytes.length <= lengths[i]!) arena.u8.set(bytes, starts[i]! + random(lengths[i]! - bytes.length + 1));
    }
    compare(mpse, patterns, 8, "many");
    mpse.close();
  });
}

tests("openMpse chooses as documented", () => {
  const lines: string[] = [];
  const warn = (line: string) => lines.push(line);
  const patterns = randomPatterns(10, text("abc"), 8);
  const engineOf = (engine: "auto" | "hyperscan" | "aho-corasick", portable: boolean, list: Pattern[] = patterns) => {
    const mpse = openMpse(list, arena, { engine, portable, warn });
    mpse.close();
    return mpse.engine;
  };
  assert.is(engineOf("auto", true), "pair-filter");
  assert.is(engineOf("aho-corasick", false), "aho-corasick");
  assert.is(engineOf("auto", true, randomPatterns(1200, text("abcdef"), 9)), "aho-corasick");
  assert.is(lines.length, 0);
  if (typeof hs === "string") {
    assert.is(engineOf("auto", false), "pair-filter");
    assert.is(lines.length, 1);
    assert.match(lines[0]!, "apt-get install libhyperscan5");
    assert.throws(
      () => engineOf("hyperscan", false),
      (error: unknown) => error instanceof RunError,
    );
  } else {
    assert.is(engineOf("auto", false), `hyperscan ${hs.version}`);
    assert.is(engineOf("hyperscan", false), `hyperscan ${hs.version}`);
  }
});

tests("no patterns never hit; an empty pattern is refused", () => {
  const options = { engine: "auto", portable: false, warn: () => {} } as const;
  const none = openMpse([], arena, options);
  fill(4, text("ab"), () => 50);
  assert.is(none.scan(starts, lengths, 4, new Uint32Array(4)), 0);
  assert.is(none.identify(starts[0]!, lengths[0]!, new Uint32Array(0)), 0);
  none.close();
  const empty: Pattern[] = [{ bytes: new Uint8Array(0), nocase: false }];
  assert.throws(
    () => openMpse(empty, arena, options),
    (error: unknown) => error instanceof RunError,
  );
});

tests.after(() => arena.free());
tests.run();
