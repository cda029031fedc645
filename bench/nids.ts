/** nids over 147 rules, one packet in a hundred hitting, against a C peer on libhs. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { nf } from "../nfs/nids/index.js";
import type { NidsLoaded } from "../nfs/nids/load.js";
import { type Random, seededRandom, udpFrames, writeFrames } from "./frames.js";
import type { Bench, BenchOptions, Subject } from "./harness.js";
import { Peer, PeerSkipped } from "./peer.js";
import { NfSubject } from "./subject.js";

/** As many as the paper's NIDS has. */
const RULES = 147;
const HIT_EVERY = 100;
const WORDS = [
  "GET",
  "POST",
  "HTTP/1.1",
  "Host:",
  "User-Agent:",
  "Mozilla/5.0",
  "Accept:",
  "text/html",
  "gzip",
  "Cookie:",
  "session",
  "index",
  "images",
  "login",
  "search",
  "query",
  "content",
  "length",
  "static",
  "public",
  "Connection:",
  "keep-alive",
  "www",
  "example",
];

/** Contents of the public rules where they are, else words of the same lengths made from the seed. */
function contents(options: BenchOptions): string[] {
  const file = join(options.data, "rules/et_web_server.rules");
  if (existsSync(file)) {
    const found = readFileSync(file, "latin1").matchAll(/^alert .*?content:"([^"|\\;]{4,40})"/gm);
    const distinct = [...new Set([...found].map((m) => m[1]!))];
    // A word of ordinary traffic would hit in every packet.
    const rare = distinct.filter((c) => c.length >= 6 && !WORDS.some((w) => w.includes(c) || c.includes(w)));
    if (rare.length >= RULES) return rare.slice(0, RULES);
  }
  const random = seededRandom(options.seed);
  const letter = () => "abcdefghijklmnopqrstuvwxyz0123456789/._-=%"[random(42)];
  return Array.from({ length: RULES }, () => Array.from({ length: 6 + random(20) }, letter).join(""));
}

/** Rules of protocol ip, so that they look into every payload, ciphertext included, as the chain benchmark needs. */
export async function loadBenchRules(options: BenchOptions): Promise<NidsLoaded> {
  const lines = contents(options).map(
    (c, i) =>
      `alert ip any any -> any any (msg:"rule ${i}"; content:"${c}";${i % 3 === 0 ? " nocase;" : ""} sid:${i + 1};)`,
  );
  writeFileSync(join(options.scratch, "bench.rules"), lines.join("\n"));
  const loaded = await nf.load(nf.schema.parse({ rules: "bench.rules" }), {
    name: "nids",
    where: "bench: nids",
    resolve: (path) => join(options.scratch, path),
    ports: ["in", "out"],
    txPorts: [1],
    mtu: [65535, 65535],
    warn: options.warn,
  });
  return loaded as NidsLoaded;
}

/** Little-endian u32 count, then per pattern u8 nocase, u32 length, bytes. */
function writePatterns(file: string, loaded: NidsLoaded): void {
  const u32 = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return bytes;
  };
  const parts = loaded.patterns.flatMap((p) => [
    Buffer.from([p.nocase ? 1 : 0]),
    u32(p.bytes.length),
    Buffer.from(p.bytes),
  ]);
  writeFileSync(file, Buffer.concat([u32(loaded.patterns.length), ...parts]));
}

function text(bytes: Uint8Array, random: Random): void {
  let at = 0;
  while (at < bytes.length) {
    const word = random(5) === 0 ? random(1e8).toString(36) : WORDS[random(WORDS.length)]!;
    for (let i = 0; i < word.length && at < bytes.length; i++) bytes[at++] = word.charCodeAt(i);
    if (at < bytes.length) bytes[at++] = random(8) === 0 ? 10 : 32;
  }
}

/** A payload of the kind, one in HIT_EVERY with a pattern in it where it fits. */
export function payloads(kind: "random" | "text", loaded: NidsLoaded) {
  return (bytes: Uint8Array, random: Random): void => {
    if (kind === "text") text(bytes, random);
    else for (let i = 0; i < bytes.length; i++) bytes[i] = random(256);
    if (random(HIT_EVERY) !== 0) return;
    const pattern = loaded.patterns[random(loaded.patterns.length)]!.bytes;
    if (pattern.length <= bytes.length) bytes.set(pattern, random(bytes.length - pattern.length + 1));
  };
}

function nidsBench(kind: "random" | "text"): Bench {
  return {
    nf: kind === "random" ? "nids" : "nids-text",
    async setUp(options) {
      const loaded = await loadBenchRules(options);
      const patterns = join(options.scratch, "patterns.bin");
      writePatterns(patterns, loaded);
      return {
        note: `${loaded.patterns.length} literals, 1 % of packets hitting, ${kind === "text" ? "HTTP-like text" : "random bytes"}`,
        frames: (size) => udpFrames({ size, count: 4096, seed: options.seed, payload: payloads(kind, loaded) }),
        async subjects(frames) {
          const file = join(options.scratch, "nids-frames.bin");
          writeFrames(file, frames);
          const open = (portable: boolean) =>
            NfSubject.open(nf, loaded, frames, { portable, expect: ["clean", "alert"], warn: options.warn });
          const subjects: Subject[] = [open(false)];
          const spec = { source: "nids", link: ["-lhs"], packages: ["gcc", "libhyperscan-dev"] };
          const peer = await Peer.open(spec, file, patterns);
          const skipped = peer instanceof PeerSkipped ? [peer.reason] : [];
          if (!(peer instanceof PeerSkipped)) subjects.push(peer);
          return { subjects: [...subjects, open(true)], skipped };
        },
      };
    },
  };
}
export const benches: readonly Bench[] = [nidsBench("random"), nidsBench("text")];
