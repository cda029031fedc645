/** What the ipsec tests share: random frames, an arena to put them in, and the NF with each back end. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Ipsec, nf } from "../nfs/ipsec/index.js";
import { PARAM } from "../nfs/ipsec/layout.js";
import { ReferenceIpsec, type ReferenceSa } from "../nfs/ipsec/reference.js";
import { compileSelectors, type SelectorSpec } from "../runtime/chain/selector.js";
import { Arena, DATA_OFFSET, PARAM_WORDS, SLOT_SIZE } from "../runtime/packet/arena.js";
import { Batch } from "../runtime/packet/batch.js";
import { sum16 } from "../runtime/packet/checksum.js";
import { Gate } from "../runtime/packet/gate.js";
import { Random as Numbers } from "./support/random.js";

/** Seeded numbers as these tests ask for them. */
export class Random extends Numbers {
  /** 0 to n - 1. */
  below(n: number): number {
    return this.int(0, n - 1);
  }

  override bytes(n: number): Buffer {
    return Buffer.from(super.bytes(n));
  }
}

/** A seed of its own for every run, named in the title of what fails. */
export const freshSeed = (): number =>
  process.env.TEST_SEED ? Number(process.env.TEST_SEED) : Date.now() % 0x7fff_ffff;

export type TestSa = ReferenceSa & { readonly cipher: string; readonly auth: string; readonly selector?: SelectorSpec };

export function randomSa(random: Random, fields: Partial<TestSa> & Pick<TestSa, "name" | "direction" | "spi">): TestSa {
  return {
    src: "172.16.1.5",
    dst: "172.16.2.5",
    cipher: "aes-128-cbc",
    auth: "sha1-hmac",
    cipher_key: random.bytes(16).toString("hex"),
    auth_key: random.bytes(20).toString("hex"),
    ...fields,
  };
}

export interface FrameOptions {
  readonly version?: 4 | 6;
  /** Bytes behind the UDP header. */
  readonly payload: number;
  readonly vlanTags?: number;
  readonly tos?: number;
  readonly df?: boolean;
  readonly dst?: string;
  /** Ethernet padding behind the IP packet. */
  readonly padding?: number;
}

/** A valid UDP frame with random contents. */
export function udpFrame(random: Random, options: FrameOptions): Buffer {
  const { version = 4, payload, vlanTags = 0, tos = 0, df = false, padding = 0 } = options;
  const udp = Buffer.concat([Buffer.alloc(8), random.bytes(payload)]);
  udp.writeUInt16BE(40000 + random.below(1000), 0);
  udp.writeUInt16BE(41000 + random.below(1000), 2);
  udp.writeUInt16BE(udp.length, 4);
  const ip = version === 4 ? ipv4(random, 17, udp, tos, df, options.dst) : ipv6(random, udp, tos);
  const tags = Array.from({ length: vlanTags }, (_, i) =>
    Buffer.from([i > 0 ? 0x81 : 0x88, i > 0 ? 0 : 0xa8, 0, i + 1]),
  );
  const type = Buffer.from(version === 4 ? [8, 0] : [0x86, 0xdd]);
  return Buffer.concat([random.bytes(12), ...tags, type, ip, Buffer.alloc(padding, 0xee)]);
}

export function ipv4(random: Random, proto: number, body: Buffer, tos = 0, df = false, dst = "198.18.0.1"): Buffer {
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header[1] = tos;
  header.writeUInt16BE(20 + body.length, 2);
  header.writeUInt16BE(random.below(65536), 4);
  header.writeUInt16BE(df ? 0x4000 : 0, 6);
  header[8] = 1 + random.below(255);
  header[9] = proto;
  header.set([198, 18, random.below(256), random.below(256)], 12);
  header.set(dst.split(".").map(Number), 16);
  fixChecksum(header);
  return Buffer.concat([header, body]);
}

/** Writes the checksum of the IPv4 header at the start of `ip`. */
export function fixChecksum(ip: Buffer): void {
  const header = new Uint8Array(ip.subarray(0, (ip[0]! & 0xf) * 4));
  header[10] = 0;
  header[11] = 0;
  const sum = ~sum16(new Uint16Array(header.buffer), 0, header.length) & 0xffff;
  ip.writeUInt16LE(sum, 10);
}

function ipv6(random: Random, body: Buffer, tos: number): Buffer {
  const header = Buffer.alloc(40);
  header.writeUInt32BE(((6 << 28) | (tos << 20) | random.below(1 << 20)) >>> 0, 0);
  header.writeUInt16BE(body.length, 4);
  header[6] = 17;
  header[7] = 1 + random.below(255);
  random.bytes(32).copy(header, 8);
  return Buffer.concat([header, body]);
}

export const backends = ["portable", "native"] as const;
export type Backend = (typeof backends)[number];

/** An NF in an arena of its own, fed with frames. */
export class Bench {
  readonly arena: Arena;
  readonly nf: Ipsec;
  readonly reference: ReferenceIpsec;
  readonly warnings: string[] = [];
  private readonly batch = new Batch(256);
  private readonly gate: Gate;
  private readonly reasons = new Uint8Array(256);

  constructor(sas: readonly TestSa[], backend: Backend, options: { seed?: number; mtu?: number; slots?: number } = {}) {
    const { seed, mtu = 1_000_000, slots = 256 } = options;
    this.arena = Arena.create(slots);
    this.gate = new Gate(this.arena);
    const warn = (line: string) => this.warnings.push(line);
    const loaded = loadText(JSON.stringify({ sas }), mtu);
    this.nf = nf.create(loaded, {
      name: "ipsec",
      arena: this.arena,
      seed,
      portable: backend === "portable",
      warn,
    }) as Ipsec;
    const selectors = sas.filter((sa) => sa.direction === "out").map((sa) => sa.selector ?? {});
    const first = compileSelectors(selectors, ["in", "out"], this.arena);
    this.reference = new ReferenceIpsec(sas, {
      seed: seed ?? 0,
      mtu,
      slotBytes: SLOT_SIZE,
      select: () => first(this.selected),
    });
  }

  /** The slot whose packet the reference is asked about. */
  selected = 0;

  /** Puts frames into slots 0, 1... and passes them through the gate. */
  put(frames: readonly Uint8Array[], start = DATA_OFFSET): Batch {
    const { arena, batch } = this;
    batch.count = frames.length;
    frames.forEach((frame, i) => {
      batch.slots[i] = i;
      arena.u8.fill(0xcc, i * SLOT_SIZE, (i + 1) * SLOT_SIZE);
      arena.u8.set(frame, i * SLOT_SIZE + start);
      arena.off[i] = start;
      arena.len[i] = frame.length;
      arena.rxError[i] = 0;
    });
    const dropped = this.gate.check(batch.slots, batch.count, this.reasons);
    if (dropped > 0)
      throw new Error(`the gate dropped ${dropped} test frames: ${this.reasons.subarray(0, batch.count)}`);
    batch.outcomes.fill(0xee);
    return batch;
  }

  /** Whether the gate lets a frame pass. */
  passesGate(frame: Uint8Array): boolean {
    try {
      this.put([frame]);
      return true;
    } catch {
      return false;
    }
  }

  frame(slot: number): Buffer {
    const at = slot * SLOT_SIZE + this.arena.off[slot]!;
    return Buffer.from(this.arena.u8.subarray(at, at + this.arena.len[slot]!));
  }

  process(frames: readonly Uint8Array[], start = DATA_OFFSET): { outcome: string; frame: Buffer }[] {
    const batch = this.put(frames, start);
    this.nf.process(batch);
    return frames.map((_, i) => ({ outcome: outcomeName(batch.outcomes[i]!), frame: this.frame(i) }));
  }

  /** What the reference says about the same frames; before process, because selectors look at slots. */
  expected(frames: readonly Uint8Array[], start = DATA_OFFSET): { outcome: string; frame: Uint8Array }[] {
    this.put(frames, start);
    return frames.map((frame, i) => {
      this.selected = i;
      return this.reference.process(frame, start);
    });
  }

  close(): void {
    this.nf.close();
    this.arena.free();
  }
}

export const outcomeName = (code: number): string => nf.outcomes[code]?.name ?? `code ${code}`;

/** Loads an SA file with this text, with ports `in` and `out`. */
export function loadText(text: string, mtu = 1_000_000) {
  const folder = mkdtempSync(join(tmpdir(), "wingbeat-ipsec-"));
  try {
    writeFileSync(join(folder, "sas.json"), text);
    return nf.load(
      { sas: "sas.json" },
      {
        name: "ipsec",
        where: "chain.json: nfs.ipsec.config",
        resolve: (path) => join(folder, path),
        ports: ["in", "out"],
        txPorts: [1],
        mtu: [mtu, mtu],
        warn: () => {},
      },
    ) as Parameters<typeof nf.create>[0];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Says where two frames differ first, with what stands around it. */
export function difference(actual: Uint8Array, expected: Uint8Array): string | undefined {
  if (Buffer.compare(actual, expected) === 0) return undefined;
  let at = 0;
  while (at < actual.length && actual[at] === expected[at]) at++;
  const around = (bytes: Uint8Array) => Buffer.from(bytes.subarray(at, at + 8)).toString("hex");
  return `first difference at byte ${at}: ${around(actual)}, expected ${around(expected)}; lengths ${actual.length}, ${expected.length}`;
}

/** Writes the params a transform reads, for SA 0. */
export function setParams(arena: Arena, slot: number, fields: { op: number; esp: number; cipherBytes: number }): void {
  const p = slot * PARAM_WORDS;
  arena.params.fill(0, p, p + PARAM_WORDS);
  arena.params[p + PARAM.TASK] = fields.op;
  arena.params[p + PARAM.PLACE] = fields.esp | (fields.cipherBytes << 16);
}

export const verdictOf = (arena: Arena, slot: number): number => arena.params[slot * PARAM_WORDS + PARAM.VERDICT]!;
