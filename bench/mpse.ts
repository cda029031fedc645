/**
 * The search engines of the nids NF beside the C peer, in one run: `node dist/bench/mpse.js PATTERNS [PEER] [--sizes 64,imix]`.
 *
 * PATTERNS as bench/peers/nids.c reads it; PEER is that program, compiled. Payloads are random bytes or HTTP-like text with a
 * pattern in one packet of a hundred; 4,096 frames, so the arena is larger than the L2 cache. Engines take turns in rounds of 60 ms
 * and medians are printed as ns per packet, with the ratio of packet rates to the peer's. A hit is identified, as the NF does.
 */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { openMpse } from "../nfs/nids/mpse/index.js";
import type { Mpse, Pattern } from "../nfs/nids/mpse/mpse.js";
import { Arena, DATA_OFFSET, SLOT_SIZE } from "../runtime/packet/arena.js";

const HEADERS = 42;
const FRAMES = 4096;
const BATCH = 64;
const ROUND_MS = 60;
/** 28 x 64, 16 x 570, 4 x 1518 bytes. */
const IMIX = [...Array(28).fill(64), ...Array(16).fill(570), ...Array(4).fill(1518)] as number[];
const WORDS =
  `GET POST HTTP/1.1 Host: www example com User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)
Chrome/120.0 Safari Accept: text/html,application/xhtml+xml,image/webp,*/*;q=0.8 Accept-Language: en-US,en;q=0.5 Accept-Encoding: gzip, deflate, br
Connection: keep-alive Cookie: session id= token= the quick brown fox jumps over lazy dog and then returns to news sport weather index.html
style.css main.js images/logo.png <div class="item"> <a href="/page/ </a> </div> <p> </p> <span> 200 OK Server: nginx/1.18.0 Date: Mon,
01 Jan 2024 GMT Cache-Control: no-cache max-age=3600 ETag: Last-Modified: Vary: function var return window.location`.split(
    /\s+/,
  );

let state = 12_345;
function random(n: number): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % n;
}

function readPatterns(file: string): Pattern[] {
  const data = readFileSync(file);
  const patterns: Pattern[] = [];
  let at = 4;
  for (let i = data.readUInt32LE(0); i > 0; i--) {
    const length = data.readUInt32LE(at + 1);
    patterns.push({ nocase: data[at] !== 0, bytes: Uint8Array.from(data.subarray(at + 5, at + 5 + length)) });
    at += 5 + length;
  }
  return patterns;
}

function payload(kind: string, length: number): Uint8Array {
  if (kind === "random") return Uint8Array.from({ length }, () => random(256));
  let text = "";
  while (text.length < length) {
    text += WORDS[random(WORDS.length)]! + (random(8) === 0 ? "\r\n" : " ");
    if (random(5) === 0) text += random(100_000_000).toString(36);
  }
  return Uint8Array.from(text.slice(0, length), (c) => c.charCodeAt(0));
}

function makeFrames(kind: string, size: string, patterns: readonly Pattern[]): Uint8Array[] {
  return Array.from({ length: FRAMES }, () => {
    const frame = new Uint8Array(size === "imix" ? IMIX[random(IMIX.length)]! : Number(size));
    const bytes = payload(kind, frame.length - HEADERS);
    const pattern = patterns[random(patterns.length)]!.bytes;
    if (random(100) === 0 && pattern.length <= bytes.length)
      bytes.set(pattern, random(bytes.length - pattern.length + 1));
    frame.set(bytes, HEADERS);
    return frame;
  });
}

function writeFrames(file: string, frames: readonly Uint8Array[]): void {
  const u32 = (value: number) => new Uint8Array(Uint32Array.of(value).buffer);
  writeFileSync(file, Buffer.concat([u32(frames.length), ...frames.flatMap((frame) => [u32(frame.length), frame])]));
}

/** A peer process: `ready` once, then a figure for every `go`. */
class Peer {
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly lines: AsyncIterator<string>;
  constructor(program: string, args: string[]) {
    this.child = spawn(program, args);
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }
  async line(): Promise<string> {
    const { value, done } = await this.lines.next();
    if (done === true) throw new Error("the peer ended early");
    return value as string;
  }
  async measure(): Promise<number> {
    this.child.stdin.write("go\n");
    return Number(await this.line());
  }
  close(): void {
    this.child.stdin.end();
  }
}

const starts = new Uint32Array(BATCH);
const lengths = new Uint32Array(BATCH);
const hits = new Uint32Array(BATCH);

/** Nanoseconds per packet over one round; slots are walked as an NF walks its batch. */
function measure(mpse: Mpse, arena: Arena, out: Uint32Array): number {
  const begin = process.hrtime.bigint();
  let packets = 0;
  let ns = 0;
  do {
    for (let first = 0; first < FRAMES; first += BATCH) {
      for (let i = 0; i < BATCH; i++) {
        starts[i] = (first + i) * SLOT_SIZE + arena.off[first + i]! + HEADERS;
        lengths[i] = arena.len[first + i]! - HEADERS;
      }
      const n = mpse.scan(starts, lengths, BATCH, hits);
      for (let k = 0; k < n; k++) mpse.identify(starts[hits[k]!]!, lengths[hits[k]!]!, out);
    }
    packets += FRAMES;
    ns = Number(process.hrtime.bigint() - begin);
  } while (ns < ROUND_MS * 1e6);
  return ns / packets;
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { sizes: { type: "string", default: "64,512,1472,imix" }, rounds: { type: "string", default: "9" } },
  });
  const [patternFile, program] = positionals;
  if (patternFile === undefined)
    throw new Error("usage: mpse.js PATTERNS [PEER] [--sizes 64,512,1472,imix] [--rounds 9]");
  const patterns = readPatterns(patternFile);
  const arena = Arena.create(FRAMES);
  const warn = (line: string) => console.error(line);
  const engines = (["auto", "pair-filter", "aho-corasick"] as const).map((engine) =>
    openMpse(patterns, arena, { engine, portable: false, warn }),
  );
  const out = new Uint32Array(patterns.length);
  const folder = mkdtempSync(join(tmpdir(), "wingbeat-mpse-"));
  for (const kind of ["random", "http"]) {
    for (const size of values.sizes.split(",")) {
      const frames = makeFrames(kind, size, patterns);
      frames.forEach((frame, slot) => {
        arena.u8.set(frame, slot * SLOT_SIZE + DATA_OFFSET);
        arena.off[slot] = DATA_OFFSET;
        arena.len[slot] = frame.length;
      });
      const file = join(folder, "frames");
      writeFrames(file, frames);
      const peer = program === undefined ? undefined : new Peer(program, [file, patternFile]);
      const ready = await peer?.line();
      const times: number[][] = engines.map(() => []);
      const peerTimes: number[] = [];
      for (let round = 0; round < Number(values.rounds); round++) {
        if (peer !== undefined) peerTimes.push(await peer.measure());
        for (const [k, mpse] of engines.entries()) times[k]!.push(measure(mpse, arena, out));
      }
      peer?.close();
      const theirs = median(peerTimes);
      const cells = engines.map((mpse, k) => {
        const ours = median(times[k]!);
        const bytes = frames.reduce((sum, frame) => sum + frame.length, 0) / FRAMES;
        const ratio = peer === undefined ? "" : ` x${(theirs / ours).toFixed(2)}`;
        return `${mpse.engine} ${ours.toFixed(0)} ns (${((bytes * 8) / ours).toFixed(1)} Gbps)${ratio}`;
      });
      console.log(
        `${kind} ${size}: ${cells.join(" | ")}${peer === undefined ? "" : ` | peer ${theirs.toFixed(0)} ns`}`,
      );
      if (ready !== undefined && kind === "random" && size === values.sizes.split(",")[0]) console.error(ready);
    }
  }
  rmSync(folder, { recursive: true });
  for (const mpse of engines) mpse.close();
  arena.free();
}

await main();
