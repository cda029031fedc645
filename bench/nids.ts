/** The nids NF against a Hyperscan loop in C: 147 literals, a match in one packet of a hundred, payloads of HTTP-like text. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { nf } from "../nfs/nids/index.js";
import { type Random, seededRandom, udpFrames, writeFrames } from "./frames.js";
import type { Bench, BenchOptions, Subject } from "./harness.js";
import { Peer, PeerSkipped } from "./peer.js";
import { NfSubject } from "./subject.js";

const LITERALS = 147;
const HIT_ONE_IN = 100;
const WORDS = (
  "GET POST HTTP/1.1 Host: www example com User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) " +
  "Chrome/120.0 Safari Accept: text/html,application/xhtml+xml,image/webp,*/*;q=0.8 Accept-Language: en-US,en;q=0.5 Accept-Encoding: gzip, deflate, br " +
  "Connection: keep-alive Cookie: session id= token= the quick brown fox jumps over lazy dog and then returns to news sport weather index.html " +
  'style.css main.js images/logo.png <div class="item"> <a href="/page/ </a> </div> <p> </p> <span> 200 OK Server: nginx/1.18.0 Cache-Control: no-cache'
).split(" ");

export const bench: Bench = {
  nf: "nids",
  async setUp(options) {
    const { literals, source } = pickLiterals(options);
    const rules = join(options.scratch, "bench.rules");
    writeFileSync(
      rules,
      literals
        .map(
          (text, i) =>
            `alert udp any any -> any any (msg:"literal ${i}"; content:"${text}"; sid:${1000 + i}; rev:1;)\n`,
        )
        .join(""),
    );
    const forPeer = join(options.scratch, "patterns.bin");
    writeFileSync(forPeer, patternRecords(literals));
    const loaded = await nf.load(nf.schema.parse({ rules, on_unsupported: "error" }), {
      name: "nids",
      where: "bench: nids",
      resolve: (path) => path,
      ports: ["in", "out"],
      txPorts: [1],
      mtu: [65535, 65535],
      warn: options.warn,
    });
    return {
      note: `${literals.length} literals (${source}), one packet in ${HIT_ONE_IN} holds one, HTTP-like text; no alert file. The peer searches, the NF also evaluates and counts`,
      frames: (size) =>
        udpFrames({
          size,
          count: options.frames,
          seed: options.seed,
          payload: (bytes, random) => fillText(bytes, random, literals),
        }),
      async subjects(frames) {
        const file = join(options.scratch, "nids-frames.bin");
        writeFrames(file, frames);
        const { portable, warn } = options;
        const subjects: Subject[] = [
          NfSubject.open(nf, loaded, frames, { expect: ["clean", "alert"], portable, warn }),
        ];
        const spec = { source: "nids", pkgConfig: "libhs", packages: ["gcc", "pkg-config", "libhyperscan-dev"] };
        const peer = await Peer.open(spec, file, forPeer);
        if (peer instanceof PeerSkipped) return { subjects, skipped: [peer.reason] };
        return { subjects: [...subjects, peer], skipped: [] };
      },
    };
  },
};

/** The longest plain contents of a public rule set where it is there, else made-up words. */
function pickLiterals(options: BenchOptions): { literals: string[]; source: string } {
  const file = join(options.data, "rules/et_web_server.rules");
  if (existsSync(file)) {
    const found = new Set<string>();
    for (const rule of readFileSync(file, "latin1").split("\n")) {
      const contents = [...rule.matchAll(/content:"([\w ./=<>(){}-]{6,})"/g)].map((match) => match[1]!);
      const longest = contents.sort((a, b) => b.length - a.length)[0];
      // What stands in every payload would measure evaluation only.
      if (longest !== undefined && !WORDS.some((word) => word.includes(longest))) found.add(longest);
    }
    if (found.size >= LITERALS) return { literals: [...found].slice(0, LITERALS), source: "of ET web server rules" };
  }
  const random = seededRandom(options.seed);
  const letters = "abcdefghijklmnopqrstuvwxyz_/.=";
  const made = new Set<string>();
  while (made.size < LITERALS) {
    made.add(Array.from({ length: 6 + random(15) }, () => letters[random(letters.length)]).join(""));
  }
  return { literals: [...made], source: "made up" };
}

function fillText(bytes: Uint8Array, random: Random, literals: readonly string[]): void {
  let text = "";
  while (text.length < bytes.length) {
    text += WORDS[random(WORDS.length)] + (random(8) === 0 ? "\r\n" : " ");
    if (random(5) === 0) text += random(100_000_000).toString(36);
  }
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  const literal = literals[random(literals.length)]!;
  if (random(HIT_ONE_IN) !== 0 || literal.length > bytes.length) return;
  const at = random(bytes.length - literal.length + 1);
  for (let i = 0; i < literal.length; i++) bytes[at + i] = literal.charCodeAt(i);
}

/** As peers/nids.c reads them: count, then for each u8 nocase, u32 length and its bytes. */
function patternRecords(literals: readonly string[]): Buffer {
  const count = Buffer.alloc(4);
  count.writeUInt32LE(literals.length);
  const records = literals.map((text) => {
    const head = Buffer.alloc(5);
    head.writeUInt32LE(text.length, 1);
    return Buffer.concat([head, Buffer.from(text, "latin1")]);
  });
  return Buffer.concat([count, ...records]);
}
