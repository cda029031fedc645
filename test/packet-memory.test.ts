/** What the drivers packet and mmsg share with the kernel, played by the test: the ring of blocks, and the array of messages. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { LinkWatch } from "../runtime/nic/net/link-watch.js";
import { BLOCK, Blocks, FRAME, LONGEST_LOOP } from "../runtime/nic/packet/blocks.js";
import { Messages } from "../runtime/nic/packet/messages.js";
import { socketRx } from "../runtime/nic/packet/socket.js";
import { Arena, DATA_OFFSET, MAX_FRAME, RX_ERROR } from "../runtime/packet/arena.js";
import { attachRegion, mapRegion, unmapRegion } from "../runtime/packet/memory.js";
import { freshSeed, Random } from "./support/random.js";

const seed = freshSeed();
const r = new Random(seed);

const BLOCK_BYTES = 1 << 16;
const BLOCKS = 4;
const SLOTS = 64;
const USER = 1;
const VLAN_VALID = 0x10;

interface Frame {
  /** As they are to stand in the slot, a tag included. */
  readonly bytes: readonly number[];
  readonly wire: number;
  readonly sec: number;
  readonly nsec: number;
  readonly tooLong: boolean;
}

/** A kernel that fills blocks of a ring in plain memory. */
class Kernel {
  readonly region = mapRegion(BLOCK_BYTES * BLOCKS);
  readonly ring = { address: this.region.address, bytes: BLOCK_BYTES * BLOCKS, buffer: this.region.buffer };
  private readonly words = new Uint32Array(this.region.buffer);
  private readonly u8 = new Uint8Array(this.region.buffer);
  private block = 0;

  /** Fills the next block with at most `most` frames, if it has it. @returns undefined where it has not */
  fill(most: number): Frame[] | undefined {
    const start = (this.block * BLOCK_BYTES) >> 2;
    if (this.words[start + BLOCK.STATUS] !== 0) return undefined;
    // Where the headers end, and private bytes, if any.
    const first = 48 + 8 * r.int(0, 4);
    let at = start + (first >> 2);
    const frames: Frame[] = [];
    for (let n = 0; n < most; n++) {
      const wire = r.pick([14, 60, 64, r.int(14, 160), LONGEST_LOOP + r.int(-4, 4), MAX_FRAME + r.int(-4, 4), 9000]);
      // The kernel keeps what has room behind the header.
      const captured = Math.min(wire, r.pick([wire, 1800]));
      const mac = r.pick([82, 84, 84, 84, 85, 96]);
      const next = (mac + captured + 15) & ~15;
      if (((at << 2) & (BLOCK_BYTES - 1)) + next + 16 > BLOCK_BYTES) break;
      const tagged = r.chance(0.2);
      const [tpid, tci] = [r.pick([0x8100, 0x88a8]), r.int(0, 0xffff)];
      const [sec, nsec] = [r.u32(), r.int(0, 999_999_999)];
      const { words } = this;
      words[at + FRAME.NEXT] = next;
      words[at + FRAME.SEC] = sec;
      words[at + FRAME.NSEC] = nsec;
      words[at + FRAME.CAPTURED] = captured;
      words[at + FRAME.LENGTH] = wire;
      words[at + FRAME.STATUS] = tagged ? VLAN_VALID | USER : USER;
      // Beside it the offset of the network header.
      words[at + FRAME.MAC] = mac | ((mac + 14) << 16);
      words[at + FRAME.TCI] = tci;
      words[at + FRAME.TPID] = tpid;
      const bytes: number[] = [];
      for (let i = 0; i < captured; i++) {
        const byte = r.int(0, 255);
        this.u8[(at << 2) + mac + i] = byte;
        bytes.push(byte);
      }
      bytes.length = Math.min(captured, MAX_FRAME);
      if (tagged) bytes.splice(12, 0, tpid >> 8, tpid & 0xff, tci >> 8, tci & 0xff);
      frames.push({ bytes, wire: tagged ? wire + 4 : wire, sec, nsec, tooLong: wire > MAX_FRAME });
      at += next >> 2;
    }
    this.words[start + BLOCK.PACKETS] = frames.length;
    this.words[start + BLOCK.FIRST] = first;
    this.words[start + BLOCK.STATUS] = USER;
    this.block = (this.block + 1) % BLOCKS;
    return frames;
  }
}

test(`frames of a TPACKET_V3 ring come as they were, in order, whatever their length and place (seed ${seed})`, () => {
  const arena = Arena.create(SLOTS);
  const kernel = new Kernel();
  const blocks = new Blocks(kernel.ring, BLOCK_BYTES, arena);
  const waiting: Frame[] = [];
  const slots = new Uint32Array(SLOTS);
  let received = 0;
  for (let round = 0; round < 400; round++) {
    // Blocks that a timer has retired may be empty.
    for (let n = r.int(0, 2); n > 0; n--) waiting.push(...(kernel.fill(r.pick([0, 1, r.int(2, 30), 200])) ?? []));
    const want = r.int(1, SLOTS);
    const first = r.int(0, SLOTS - 1);
    for (let i = 0; i < SLOTS; i++) slots[i] = (first + i * 5) % SLOTS;
    arena.rxError.fill(0xff);
    arena.u8.fill(round);
    const count = blocks.receive(slots, want);
    const about = `seed ${seed}, round ${round}`;
    assert.is(count, Math.min(want, waiting.length), about);
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const { bytes, wire, sec, nsec, tooLong } = waiting.shift()!;
      const off = arena.off[slot]!;
      const at = slot * 2048 + off;
      const found = arena.u8.subarray(at, at + bytes.length);
      assert.ok(Buffer.from(found).equals(Buffer.from(bytes)), `${about}, packet ${i} of ${wire} bytes`);
      assert.is(arena.len[slot], bytes.length, about);
      assert.is(arena.wireLen[slot], wire, about);
      assert.is(arena.tsSec[slot], sec, about);
      assert.is(arena.tsNsec[slot], nsec, about);
      assert.is(arena.rxError[slot], tooLong ? RX_ERROR.TOO_LONG : 0, about);
      assert.ok(off === DATA_OFFSET || off === DATA_OFFSET - 4, about);
      // The slot's tailroom, and its neighbour.
      const behind = arena.u8.subarray(slot * 2048 + DATA_OFFSET + MAX_FRAME + 4, (slot + 1) * 2048);
      assert.ok(
        behind.every((byte) => byte === (round & 0xff)),
        `${about}: wrote behind the slot's frame`,
      );
    }
    for (let i = count; i < SLOTS; i++) assert.is(arena.rxError[slots[i]!], 0xff, `${about}: a slot it did not fill`);
    received += count;
  }
  assert.ok(received > 1000, `${received} frames`);
  arena.free();
  unmapRegion(kernel.region);
});

test(`messages point at frames, also where the lower half of an address runs over (seed ${seed})`, () => {
  const slots = 256;
  const [off, len] = [new Uint16Array(slots), new Uint16Array(slots)];
  for (const address of [0x7f12_3456_7000, 5 * 2 ** 32 - 2048 * 100, 2 ** 31 - 4096 * 7, 2 ** 32 - 2048]) {
    for (const receives of [false, true]) {
      const messages = new Messages(64, { address, off, len }, receives);
      const view = new DataView(
        attachRegion({ address: messages.addressOf(0), size: 64 * 64, hugePages: false }).buffer,
      );
      for (let round = 0; round < 20; round++) {
        const from = r.int(0, 5);
        const count = r.int(1, 64);
        const burst = Uint32Array.from({ length: from + count }, () => r.int(0, slots - 1));
        for (const slot of burst) {
          off[slot] = r.int(0, 400);
          len[slot] = r.int(14, MAX_FRAME);
        }
        messages.point(burst, from, count);
        for (let i = 0; i < count; i++) {
          const slot = burst[from + i]!;
          // struct msghdr: msg_iov behind the name; struct iovec: pointer and length.
          const vectorAt = Number(view.getBigUint64(i * 64 + 16, true));
          const vector = new DataView(attachRegion({ address: vectorAt, size: 16, hugePages: false }).buffer);
          const about = `seed ${seed}, slot ${slot} of ${address}`;
          const offset = receives ? DATA_OFFSET : off[slot]!;
          assert.is(Number(vector.getBigUint64(0, true)), address + slot * 2048 + offset, about);
          assert.is(Number(vector.getBigUint64(8, true)), receives ? MAX_FRAME : len[slot], about);
        }
      }
      messages.close();
    }
  }
});

test("where the kernel does not say what it has counted, nothing is missed, and not less than nothing", () => {
  const live = socketRx(-1, 64, { look() {} } as unknown as LinkWatch, () => 5);
  live.update();
  live.stop();
  assert.equal([live.settled, live.imissed], [true, 0]);
});

test.run();
