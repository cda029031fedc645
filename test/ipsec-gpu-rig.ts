/**
 * ipsec three times over the same frames: on a GPU (prepare, kernel, finish), on the CPU (process), and the reference. What comes out is
 * compared slot by slot: outcome, every byte of the slot, and metadata.
 */
import { createCipheriv, createHmac } from "node:crypto";
import * as assert from "uvu/assert";
import { type Ipsec, nf } from "../nfs/ipsec/index.js";
import { ReferenceIpsec } from "../nfs/ipsec/reference.js";
import type { Offload } from "../runtime/chain/nf.js";
import { compileSelectors } from "../runtime/chain/selector.js";
import { Arena, SLOT_SIZE } from "../runtime/packet/arena.js";
import { Batch } from "../runtime/packet/batch.js";
import { Gate } from "../runtime/packet/gate.js";
import { difference, fixChecksum, ipv4, loadText, outcomeName, type Random, type TestSa } from "./ipsec-support.js";
import { openRunner, type Runner } from "./support/runners.js";

const BATCH = 256;
const MTU = 1_000_000;

/** A packet as it comes: where its frame begins in the slot, and what else stands there. */
export interface Arrival {
  readonly frame: Uint8Array;
  readonly start: number;
  /** Every byte of the slot that is not the frame's. */
  readonly fill: number;
}

/** What must have become of a packet. */
export interface Expected {
  readonly outcome: number;
  readonly slot: Buffer;
  readonly metadata: readonly number[];
}

function metadata(arena: Arena, slot: number): number[] {
  const { off, len, l3, l3end, l4, payload, payloadEnd, sport, dport, vlan, proto, flags, rxError, type } = arena;
  const wide = [off, len, l3, l3end, l4, payload, payloadEnd, sport, dport, vlan];
  return [...wide, proto, flags, rxError, type].map((array) => array[slot]!);
}

const bytesOf = (arena: Arena, slot: number): Buffer =>
  Buffer.from(arena.u8.subarray(slot * SLOT_SIZE, (slot + 1) * SLOT_SIZE));

/** Slots of an arena, filled the same way for CPU and GPU. */
class Bay {
  private readonly gate: Gate;
  private readonly reasons = new Uint8Array(BATCH);

  constructor(readonly arena: Arena) {
    this.gate = new Gate(arena);
  }

  put(slot: number, { frame, start, fill }: Arrival): void {
    const { arena } = this;
    arena.u8.fill(fill, slot * SLOT_SIZE, (slot + 1) * SLOT_SIZE);
    arena.u8.set(frame, slot * SLOT_SIZE + start);
    arena.off[slot] = start;
    arena.len[slot] = frame.length;
    arena.rxError[slot] = 0;
    arena.type[slot] = fill;
  }

  pass(batch: Batch): void {
    const dropped = this.gate.check(batch.slots, batch.count, this.reasons);
    assert.is(dropped, 0, `the gate drops test frames: ${this.reasons.subarray(0, batch.count)}`);
  }
}

export class Rig {
  private readonly gpu: Ipsec;
  private readonly offload: Offload;
  private readonly cpu: Ipsec;
  private readonly cpuBay: Bay;
  private readonly gpuBay: Bay;
  private readonly reference: ReferenceIpsec;
  private readonly batch = new Batch(BATCH);
  private readonly wanted = new Uint8Array(BATCH);
  private selected = 0;
  /** What the engine keeps from prepare to finish, by slot; and who has been there. */
  private readonly outcomes: Uint8Array;
  private readonly served: Uint8Array;

  /** @param slots of the GPU's arena: how many packets can be between prepare and finish */
  static async open(sas: readonly TestSa[], seed: number, slots: number): Promise<Rig> {
    const loaded = loadText(JSON.stringify({ sas }), MTU);
    // As many rows as slots fill, and one more: the first packet may be in any column.
    return new Rig(sas, seed, slots, loaded, await openRunner(["ipsec"], loaded.keys, slots + 64));
  }

  private constructor(
    sas: readonly TestSa[],
    seed: number,
    readonly slots: number,
    loaded: ReturnType<typeof loadText>,
    private readonly runner: Runner,
  ) {
    this.gpuBay = new Bay(this.runner.arena);
    this.cpuBay = new Bay(Arena.create(BATCH));
    this.outcomes = new Uint8Array(slots);
    this.served = new Uint8Array(slots);
    const context = (bay: Bay) => ({ name: "ipsec", arena: bay.arena, seed, portable: false, warn: () => {} });
    this.cpu = nf.create(loaded, context(this.cpuBay)) as Ipsec;
    this.gpu = nf.create(loaded, { ...context(this.gpuBay), place: "gpu" }) as Ipsec;
    this.offload = this.gpu.offload!;
    const selectors = sas.filter((sa) => sa.direction === "out").map((sa) => sa.selector ?? {});
    const first = compileSelectors(selectors, ["in", "out"], this.cpuBay.arena);
    const select = () => first(this.selected);
    this.reference = new ReferenceIpsec(sas, { seed, mtu: MTU, slotBytes: SLOT_SIZE, select });
  }

  get engine(): string {
    return this.gpu.engine;
  }

  /** What CPU placement makes of the next packets, at most 256, which the reference has to agree with. */
  expect(arrivals: readonly Arrival[], label: string): Expected[] {
    const { batch, cpuBay } = this;
    const { arena } = cpuBay;
    batch.count = arrivals.length;
    arrivals.forEach((arrival, i) => {
      batch.slots[i] = i;
      cpuBay.put(i, arrival);
    });
    cpuBay.pass(batch);
    const results = arrivals.map(({ frame, start }, i) => {
      this.selected = i;
      return this.reference.process(frame, start);
    });
    this.cpu.process(batch);
    return results.map((result, i) => {
      const outcome = batch.outcomes[i]!;
      assert.is(outcomeName(outcome), result.outcome, `${label}: CPU and reference, packet ${i}`);
      const at = i * SLOT_SIZE + arena.off[i]!;
      const wrong = difference(arena.u8.subarray(at, at + arena.len[i]!), result.frame);
      assert.is(wrong, undefined, `${label}: CPU and reference, packet ${i}`);
      return { outcome, slot: bytesOf(arena, i), metadata: metadata(arena, i) };
    });
  }

  /** Puts packets into slots and prepares them as one batch. Returns the slots a kernel has to see, in order. */
  prepare(slots: readonly number[], arrivals: readonly Arrival[]): number[] {
    const { batch, gpuBay, wanted } = this;
    batch.count = slots.length;
    slots.forEach((slot, i) => {
      batch.slots[i] = slot;
      gpuBay.put(slot, arrivals[i]!);
    });
    gpuBay.pass(batch);
    batch.outcomes.fill(0xee);
    wanted.fill(0xee);
    const count = this.offload.prepare(batch, wanted);
    const found = slots.filter((_, i) => wanted[i] === 1);
    assert.is(found.length, count, "prepare returns how many are wanted");
    slots.forEach((slot, i) => {
      assert.ok(wanted[i]! <= 1, "wanted is written for every packet");
      this.outcomes[slot] = batch.outcomes[i]!;
      this.served[slot] = 1 - wanted[i]!;
    });
    return found;
  }

  /** Rows of 64, the first packet in column `from`. */
  async serve(slots: readonly number[], from: number): Promise<void> {
    await this.runner.run(Uint32Array.from(slots), slots.length, from);
    for (const slot of slots) this.served[slot] = 1;
  }

  isServed(slot: number): boolean {
    return this.served[slot] === 1;
  }

  /** Finishes packets as one batch and compares them. */
  finish(slots: readonly number[], expected: readonly Expected[], label: string): void {
    const { batch } = this;
    const { arena } = this.gpuBay;
    batch.count = slots.length;
    slots.forEach((slot, i) => {
      batch.slots[i] = slot;
      batch.outcomes[i] = this.outcomes[slot]!;
    });
    this.offload.finish(batch);
    slots.forEach((slot, i) => {
      const { outcome, slot: bytes, metadata: meta } = expected[i]!;
      const where = `${label}, packet ${i} of ${slots.length}, ${outcomeName(outcome)}`;
      assert.is(outcomeName(batch.outcomes[i]!), outcomeName(outcome), where);
      assert.is(difference(bytesOf(arena, slot), bytes), undefined, where);
      assert.equal(metadata(arena, slot), meta, where);
    });
  }

  /** Statistics of both placements have to be the same, too. */
  compareStats(label: string): void {
    assert.equal(this.gpu.stats(), this.cpu.stats(), label);
  }

  async close(): Promise<void> {
    this.gpu.close();
    this.cpu.close();
    this.cpuBay.arena.free();
    await this.runner.close();
  }
}

/** Pad bytes to whole blocks, and trailer. */
export function padded(inner: Buffer, next: number): Buffer {
  const pad = Buffer.from(Array.from({ length: (16 - ((inner.length + 2) % 16)) % 16 }, (_, i) => i + 1));
  return Buffer.concat([inner, pad, Buffer.from([pad.length, next])]);
}

/**
 * An authentic ESP frame with this number and any plaintext of whole blocks.
 * @param options outer IPv4 options in words, and VLAN tags
 */
export function espFrame(
  random: Random,
  sa: TestSa,
  seq: bigint,
  plain: Buffer,
  options: { tags?: number; words?: number; tos?: number } = {},
): Buffer {
  const { tags = 0, words = 0, tos = 0 } = options;
  const iv = random.bytes(16);
  const cipher = createCipheriv("aes-128-cbc", Buffer.from(sa.cipher_key, "hex"), iv).setAutoPadding(false);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(sa.spi, 0);
  head.writeUInt32BE(Number(seq & 0xffff_ffffn), 4);
  const body = Buffer.concat([head, iv, cipher.update(plain), cipher.final()]);
  const high = Buffer.alloc(sa.esn === true ? 4 : 0);
  if (sa.esn === true) high.writeUInt32BE(Number(seq >> 32n), 0);
  const mac = createHmac("sha1", Buffer.from(sa.auth_key, "hex")).update(body).update(high).digest();
  const plainHeader = ipv4(random, 50, Buffer.concat([body, mac.subarray(0, 12)]), tos, false, sa.dst);
  const packet = Buffer.concat([plainHeader.subarray(0, 20), Buffer.alloc(4 * words, 1), plainHeader.subarray(20)]);
  packet[0] = 0x45 + words;
  packet.writeUInt16BE(packet.length, 2);
  packet.writeUInt16BE(0, 10);
  fixChecksum(packet);
  const tagBytes = Array.from({ length: tags }, (_, i) =>
    Buffer.from([i > 0 ? 0x81 : 0x88, i > 0 ? 0 : 0xa8, 0, i + 1]),
  );
  return Buffer.concat([random.bytes(12), ...tagBytes, Buffer.from([8, 0]), packet]);
}
