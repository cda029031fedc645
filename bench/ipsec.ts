/**
 * The ipsec NF against its C peer on the same library, in one run: 1,024 outbound SAs, batches of 64, repeats
 * interleaved, medians.
 *
 *   node dist/bench/ipsec.js [REPEATS] [--portable]
 *
 * Both sides get the same frames, restore them outside the timed part and do the same work per packet.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { nf } from "../nfs/ipsec/index.js";
import { Arena, DATA_OFFSET, SLOT_SIZE } from "../runtime/packet/arena.js";
import { Batch } from "../runtime/packet/batch.js";
import { writeIpv4Checksum } from "../runtime/packet/checksum.js";
import { Gate } from "../runtime/packet/gate.js";

const SAS = 1024;
const FRAMES = 1024;
const BATCH = 64;
const WARM_UP = 15;
const TARGET_NS = 60_000_000n;
const SIZES = [64, 512, 1472];

interface BenchSa {
  /** Inner destination: 10.1.x.y, one for each SA. */
  readonly selector: number;
  readonly spi: number;
  readonly cipherKey: Buffer;
  readonly authKey: Buffer;
}

const dotted = (address: number): string => [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join(".");
const SRC = 0xac100105;
const DST = 0xac100205;

function makeSas(): BenchSa[] {
  return Array.from({ length: SAS }, (_, i) => ({
    selector: 0x0a010000 + i,
    spi: 256 + i,
    cipherKey: randomBytes(16),
    authKey: randomBytes(20),
  }));
}

function saJson(sas: readonly BenchSa[]): string {
  return JSON.stringify({
    sas: sas.map((sa) => ({
      name: `sa${sa.spi}`,
      direction: "out",
      spi: sa.spi,
      src: dotted(SRC),
      dst: dotted(DST),
      cipher: "aes-128-cbc",
      cipher_key: sa.cipherKey.toString("hex"),
      auth: "sha1-hmac",
      auth_key: sa.authKey.toString("hex"),
      selector: { dst: `${dotted(sa.selector)}/32` },
    })),
  });
}

/** The peer's form of the same SAs; layout in peers/ipsec.c. */
function peerSaFile(sas: readonly BenchSa[]): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32LE(sas.length, 0);
  head.writeUInt32LE(0xffffffff, 4);
  const records = sas.map((sa) => {
    const numbers = Buffer.alloc(16);
    [sa.selector, sa.spi, SRC, DST].forEach((value, i) => {
      numbers.writeUInt32LE(value, 4 * i);
    });
    return Buffer.concat([numbers, sa.cipherKey, sa.authKey]);
  });
  return Buffer.concat([head, ...records]);
}

/** Untagged IPv4/UDP frames of one size, each to a random SA. */
function makeFrames(size: number): Buffer[] {
  return Array.from({ length: FRAMES }, () => {
    const frame = randomBytes(size);
    frame.writeUInt16BE(0x0800, 12);
    frame.writeUInt16BE(0x4500, 14);
    frame.writeUInt16BE(size - 14, 16);
    frame.writeUInt16BE(0, 20);
    frame[23] = 17;
    frame.writeUInt32BE(0x0a010000 + (randomBytes(2).readUInt16LE(0) % SAS), 30);
    frame.writeUInt16BE(size - 34, 38);
    const header = new Uint16Array(new Uint8Array(frame.subarray(14, 34)).buffer);
    writeIpv4Checksum(header, 0, 20);
    frame.set(new Uint8Array(header.buffer), 14);
    return frame;
  });
}

function framesFile(frames: readonly Buffer[]): Buffer {
  const u32 = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return bytes;
  };
  return Buffer.concat([u32(frames.length), ...frames.flatMap((frame) => [u32(frame.length), frame])]);
}

/** One repeat: as many rounds over the frames as the target takes. Returns ns per packet. */
function measure(arena: Arena, gate: Gate, process: (batch: Batch) => void, frames: readonly Buffer[]): number {
  const batch = new Batch(BATCH);
  const all = Uint32Array.from(frames, (_, i) => i);
  const reasons = new Uint8Array(frames.length);
  let spent = 0n;
  let packets = 0;
  while (spent < TARGET_NS) {
    frames.forEach((frame, slot) => {
      arena.u8.set(frame, slot * SLOT_SIZE + DATA_OFFSET);
      arena.off[slot] = DATA_OFFSET;
      arena.len[slot] = frame.length;
    });
    if (gate.check(all, frames.length, reasons) > 0) throw new Error("the gate refuses the benchmark's frames");
    const from = globalThis.process.hrtime.bigint();
    for (let i = 0; i < frames.length; i += BATCH) {
      for (let k = 0; k < BATCH; k++) batch.slots[k] = i + k;
      batch.count = BATCH;
      process(batch);
    }
    spent += globalThis.process.hrtime.bigint() - from;
    packets += frames.length;
    if (batch.outcomes.some((code) => code !== 0)) throw new Error("a packet was not protected");
  }
  return Number(spent) / packets;
}

class Peer {
  private readonly lines: AsyncIterator<string>;

  constructor(private readonly child: ChildProcess) {
    this.lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  }

  async line(): Promise<string> {
    const { value, done } = await this.lines.next();
    if (done) throw new Error("the peer ended early");
    return value;
  }

  async go(): Promise<number> {
    this.child.stdin!.write("go\n");
    return Number(await this.line());
  }

  end(): void {
    this.child.stdin!.end();
  }
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

async function main(): Promise<void> {
  const repeats = Number(process.argv.slice(2).find((word) => /^\d+$/.test(word)) ?? 9);
  const portable = process.argv.includes("--portable");
  const folder = mkdtempSync(join(tmpdir(), "wingbeat-bench-"));
  const sas = makeSas();
  writeFileSync(join(folder, "sas.json"), saJson(sas));
  writeFileSync(join(folder, "sas.bin"), peerSaFile(sas));
  const binary = join(folder, "peer");
  execFileSync("gcc", ["-O3", "-march=native", "bench/peers/ipsec.c", "-o", binary, "-lIPSec_MB"]);

  const warn = (line: string) => console.error(line);
  const arena = Arena.create(FRAMES);
  const gate = new Gate(arena);
  const where = "bench: ipsec";
  const resolve = (path: string) => join(folder, path);
  const ports = { ports: ["in", "out"], txPorts: [1], mtu: [1_000_000, 1_000_000] };
  const loaded = await nf.load({ sas: "sas.json" }, { name: "ipsec", where, resolve, warn, ...ports });
  const instance = nf.create(loaded, { name: "ipsec", arena, seed: undefined, portable, warn });
  try {
    for (const size of SIZES) {
      const frames = makeFrames(size);
      const file = join(folder, `frames-${size}.bin`);
      writeFileSync(file, framesFile(frames));
      const peers = new Map<string, Peer>();
      for (const mode of ["burst", "job"]) {
        peers.set(
          mode,
          new Peer(spawn(binary, [file, join(folder, "sas.bin"), mode], { stdio: ["pipe", "pipe", "inherit"] })),
        );
      }
      for (const peer of peers.values()) await peer.line();
      const ours: number[] = [];
      const theirs = new Map([...peers.keys()].map((mode) => [mode, [] as number[]]));
      // The compiler needs a second or so until all functions are what they will stay.
      for (let i = 0; i < WARM_UP; i++) measure(arena, gate, (batch) => instance.process(batch), frames);
      for (let i = 0; i < repeats; i++) {
        ours.push(measure(arena, gate, (batch) => instance.process(batch), frames));
        for (const [mode, peer] of peers) theirs.get(mode)!.push(await peer.go());
      }
      for (const peer of peers.values()) peer.end();
      const own = median(ours);
      const compared = [...theirs].map(([mode, values]) => {
        const theirMedian = median(values);
        return `C ${mode} ${theirMedian.toFixed(1)} ns, ratio ${(theirMedian / own).toFixed(3)}`;
      });
      console.log(
        `${size} B: ${instance.engine} ${own.toFixed(1)} ns (${(1000 / own).toFixed(2)} Mpps); ${compared.join("; ")}`,
      );
    }
  } finally {
    instance.close?.();
    arena.free();
    rmSync(folder, { recursive: true });
  }
}

await main();
