/**
 * Receiving by a ring of blocks that the kernel fills (TPACKET_V3, Documentation/networking/packet_mmap.rst), without a system call per
 * burst (driver `packet`). Frames are copied from the ring into slots; a block is the kernel's again when its last frame is taken.
 */
import { RunError } from "../../errors.js";
import { DATA_OFFSET, MAX_FRAME, RX_ERROR, SLOT_SHIFT } from "../../packet/arena.js";
import { copyMemory } from "../../packet/memory.js";
import { copyBytes, LOOP_LIMIT } from "../copy.js";
import { requireInterface } from "../net/interface.js";
import { LinkWatch } from "../net/link-watch.js";
import { close, errno, errorName, type Mapping, mapDescriptor, setsockopt, unmap } from "../net/syscalls.js";
import type { LiveRx, PortContext, RxPort } from "../port.js";
import type { PacketConfig } from "./config.js";
import {
  bindReceiver,
  coreOf,
  membershipOf,
  type PacketShare,
  packetSocket,
  putTag,
  SOL_PACKET,
  socketRx,
  TAG_BYTES,
  TP_STATUS_VLAN_VALID,
} from "./socket.js";

const PACKET_RX_RING = 5;
const PACKET_VERSION = 10;
const TPACKET_V3 = 2;
const BLOCK_BYTES = 1 << 18;
const BLOCKS = 64;
/** The kernel gives up a block that is not full after so many ms. */
const RETIRE_MS = 1;
const TP_STATUS_USER = 1;
/** Words of a block's header, and of a frame's (struct tpacket3_hdr). */
const enum BLOCK {
  STATUS = 2,
  PACKETS = 3,
  FIRST = 4,
}
const enum FRAME {
  NEXT = 0,
  SEC = 1,
  NSEC = 2,
  CAPTURED = 3,
  LENGTH = 4,
  STATUS = 5,
  MAC = 6,
  TCI = 8,
  TPID = 9,
}
const LONGEST = MAX_FRAME;
const OFFSET = DATA_OFFSET;
const BY_LOOP = LOOP_LIMIT;

/** @throws RunError for an interface that is not there, or without the right */
export function openPacketRx(config: PacketConfig, context: PortContext): RxPort {
  const where = `port ${context.name}`;
  const device = requireInterface(config.interface, where);
  const fd = packetSocket(where);
  const ring = makeBlocks(fd, where);
  const share = bindReceiver(fd, device, context);
  context.warn(`${where}: ${device.name} by AF_PACKET, TPACKET_V3 ring, copied twice${coreOf(context)}`);
  const membership = membershipOf(device, context, config.promiscuous !== false);
  return new PacketRx(fd, membership, ring, new LinkWatch(device, context), context, share);
}

function makeBlocks(fd: number, where: string): Mapping {
  const version = new Uint8Array(Int32Array.of(TPACKET_V3).buffer);
  const frame = 2048;
  // tpacket_req3: block size and number, frame size and number, timeout, private bytes, features.
  const request = Uint32Array.of(BLOCK_BYTES, BLOCKS, frame, (BLOCK_BYTES / frame) * BLOCKS, RETIRE_MS, 0, 0);
  const bytes = new Uint8Array(request.buffer);
  const made =
    setsockopt(fd, SOL_PACKET, PACKET_VERSION, version, 4) === 0 &&
    setsockopt(fd, SOL_PACKET, PACKET_RX_RING, bytes, bytes.length) === 0;
  const mapping = made ? mapDescriptor(fd, BLOCK_BYTES * BLOCKS, 0) : undefined;
  if (mapping !== undefined) return mapping;
  const number = errno();
  close(fd);
  throw new RunError(where, `the kernel refused a TPACKET_V3 ring: ${errorName(number)}`, "take the mmsg driver");
}

class PacketRx implements RxPort {
  readonly done = false;
  readonly live: LiveRx;
  private readonly words: Uint32Array;
  private readonly statuses: Int32Array;
  private readonly bytes: { u8: Uint8Array; view: DataView };
  /** Block that is read, the word its next frame begins at, and frames left in it; 0: it may still be the kernel's. */
  private block = 0;
  private at = 0;
  private left = 0;
  private taken = 0;
  private closed = false;

  constructor(
    private readonly fd: number,
    private readonly membership: number | undefined,
    private readonly ring: Mapping,
    watch: LinkWatch,
    private readonly context: PortContext,
    readonly share: PacketShare,
  ) {
    this.words = new Uint32Array(ring.buffer);
    this.statuses = new Int32Array(ring.buffer);
    this.bytes = { u8: new Uint8Array(ring.buffer), view: new DataView(ring.buffer) };
    this.live = socketRx(fd, watch, () => this.taken);
  }

  receive(slots: Uint32Array, count: number): number {
    let done = 0;
    while (done < count) {
      if (this.left === 0 && !this.openBlock()) break;
      const some = Math.min(this.left, count - done);
      for (let i = 0; i < some; i++) this.take(slots[done + i]!);
      done += some;
      this.left -= some;
      if (this.left === 0) this.closeBlock();
    }
    this.taken += done;
    return done;
  }

  private openBlock(): boolean {
    const start = (this.block * BLOCK_BYTES) >> 2;
    if ((Atomics.load(this.statuses, start + BLOCK.STATUS) & TP_STATUS_USER) === 0) return false;
    this.left = this.words[start + BLOCK.PACKETS]!;
    this.at = start + (this.words[start + BLOCK.FIRST]! >> 2);
    if (this.left > 0) return true;
    this.closeBlock();
    return this.openBlock();
  }

  private closeBlock(): void {
    Atomics.store(this.statuses, ((this.block * BLOCK_BYTES) >> 2) + BLOCK.STATUS, 0);
    this.block = this.block + 1 < BLOCKS ? this.block + 1 : 0;
  }

  private take(slot: number): void {
    const { words, at, bytes, ring } = this;
    const { arena } = this.context;
    const captured = words[at + FRAME.CAPTURED]!;
    const wire = words[at + FRAME.LENGTH]!;
    const length = captured > LONGEST ? LONGEST : captured;
    const from = (at << 2) + (words[at + FRAME.MAC]! & 0xffff);
    const to = (slot << SLOT_SHIFT) + OFFSET;
    if (length > BY_LOOP) copyMemory(arena.address + to, ring.address + from, length);
    else copyBytes(arena, to, bytes, from, length);
    const tagged = (words[at + FRAME.STATUS]! & TP_STATUS_VLAN_VALID) !== 0;
    const tag = tagged ? TAG_BYTES : 0;
    if (tagged) putTag(arena.u8, to, words[at + FRAME.TPID]! & 0xffff, words[at + FRAME.TCI]! & 0xffff);
    arena.off[slot] = OFFSET - tag;
    arena.len[slot] = length + tag;
    arena.wireLen[slot] = wire + tag;
    arena.rxError[slot] = wire > LONGEST ? RX_ERROR.TOO_LONG : 0;
    arena.tsSec[slot] = words[at + FRAME.SEC]!;
    arena.tsNsec[slot] = words[at + FRAME.NSEC]!;
    this.at = at + (words[at + FRAME.NEXT]! >> 2);
  }

  async ready(): Promise<void> {}

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    unmap(this.ring);
    close(this.fd);
    if (this.membership !== undefined) close(this.membership);
  }
}
