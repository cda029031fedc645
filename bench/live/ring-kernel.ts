/**
 * AF_XDP sockets over plain memory, with the kernel's side of their rings played by the bench: the product's own classes work on them as
 * on those of the kernel, and never need a system call.
 */
import { RunError } from "../../runtime/errors.js";
import type { PortContext } from "../../runtime/nic/port.js";
import { XdpPort } from "../../runtime/nic/xdp/port.js";
import { XdpRing } from "../../runtime/nic/xdp/ring.js";
import type { XdpSocket } from "../../runtime/nic/xdp/socket.js";
import { type Arena, DATA_OFFSET, SLOT_SHIFT } from "../../runtime/packet/arena.js";
import { mapRegion, type Region, unmapRegion } from "../../runtime/packet/memory.js";

/** Words of a ring: producer, consumer and flags in a cache line each, then descriptors. */
const enum WORD {
  PRODUCER = 0,
  CONSUMER = 16,
  FLAGS = 32,
  ENTRIES = 48,
}
const SHIFT = SLOT_SHIFT;
const OFFSET = DATA_OFFSET;
/** The last u16 of a frame's source address, from its first byte on. */
const SOURCE = 10 / 2;

/** A ring as the product sees it and as the kernel does. */
class PlayedRing {
  readonly ring: XdpRing;
  /** Next to consume (fill, TX) or to produce (RX, completion). */
  index = 0;
  private readonly region: Region;
  private readonly words: Int32Array;

  constructor(size: number, entryWords: number) {
    this.region = mapRegion(WORD.ENTRIES * 4 + size * entryWords * 4);
    this.words = new Int32Array(this.region.buffer);
    const bytesTo = (word: WORD) => word * 4;
    const layout = {
      producer: bytesTo(WORD.PRODUCER),
      consumer: bytesTo(WORD.CONSUMER),
      flags: bytesTo(WORD.FLAGS),
      entries: bytesTo(WORD.ENTRIES),
      size,
      entryWords,
    };
    const { address, size: bytes, buffer } = this.region;
    this.ring = new XdpRing({ address, bytes, buffer }, layout);
  }

  /** Entries that the product has produced and the kernel has not taken. */
  get offered(): number {
    return (Atomics.load(this.words, WORD.PRODUCER) - this.index) | 0;
  }

  produced(): void {
    Atomics.store(this.words, WORD.PRODUCER, this.index);
  }

  consumed(): void {
    Atomics.store(this.words, WORD.CONSUMER, this.index);
  }

  free(): void {
    unmapRegion(this.region);
  }
}

/** A port that receives and one that sends, and the kernel behind them. */
export class RingKernel {
  readonly rx: XdpPort;
  readonly tx: XdpPort;
  private readonly fill: PlayedRing;
  private readonly received: PlayedRing;
  private readonly toSend: PlayedRing;
  private readonly completion: PlayedRing;
  private readonly unused: readonly PlayedRing[];
  /** Completions that are written and not published. */
  unpublished = 0;

  /** @param size entries of the rings, a power of two @param bytes of each frame that comes in */
  constructor(
    private readonly arena: Arena,
    size: number,
    private readonly bytes: number,
  ) {
    this.fill = new PlayedRing(size, 2);
    this.received = new PlayedRing(size, 4);
    this.toSend = new PlayedRing(size, 4);
    this.completion = new PlayedRing(2 * size, 2);
    this.unused = [new PlayedRing(2, 2), new PlayedRing(2, 2)];
    const [fill, completion] = this.unused;
    const mode = "native" as const;
    const share = { mode, map: -1, detached: new SharedArrayBuffer(4) };
    const program = { mode, share, host: undefined, redirect() {}, detach() {}, close() {} };
    // Zero-copy: the driver reads the TX ring by itself, and nothing asks to be woken.
    const common = {
      fd: -1,
      queue: 0,
      bound: true,
      zeroCopy: true,
      tellsWakeup: true,
      tryBind: () => true,
      addStatistics() {},
      close() {},
    };
    const inward = { ...common, fill: this.fill.ring, completion: completion!.ring, rx: this.received.ring };
    const outward = { ...common, fill: fill!.ring, completion: this.completion.ring, tx: this.toSend.ring };
    const open = (name: string, socket: object, rx: boolean) => {
      const context: PortContext = { name, arena, warn() {} };
      // An interface that is always up; nothing is sent on it.
      const device = { name: "lo", index: 1, mtu: 1500, queues: 1 };
      return new XdpPort(device, [socket as XdpSocket], rx ? program : undefined, [], size, context, false);
    };
    this.rx = open("in", inward, true);
    this.tx = open("out", outward, false);
  }

  /** Receives `count` frames into slots of the fill ring: of each two bytes are written, which brings its header into the cache as a copy does. */
  deliver(count: number): void {
    const { fill, received, bytes } = this;
    const { u16 } = this.arena;
    expect(fill.offered >= count, `${count} slots in the fill ring`, fill.offered);
    const { entries: from, mask: fromMask } = fill.ring;
    const { entries: to, mask: toMask } = received.ring;
    for (let i = 0; i < count; i++) {
      const address = from[((fill.index + i) & fromMask) << 1]! + OFFSET;
      u16[(address >> 1) + SOURCE] = i;
      const at = ((received.index + i) & toMask) << 2;
      to[at] = address;
      to[at + 2] = bytes;
    }
    fill.index = (fill.index + count) | 0;
    received.index = (received.index + count) | 0;
    fill.consumed();
    received.produced();
  }

  /** Sends all that is in the TX ring. @returns how many */
  send(): number {
    const { toSend, completion } = this;
    const count = toSend.offered;
    const { entries: from, mask: fromMask } = toSend.ring;
    const { entries: to, mask: toMask } = completion.ring;
    const first = completion.index + this.unpublished;
    for (let i = 0; i < count; i++) {
      to[((first + i) & toMask) << 1] = from[((toSend.index + i) & fromMask) << 2]!;
    }
    toSend.index = (toSend.index + count) | 0;
    toSend.consumed();
    this.unpublished += count;
    return count;
  }

  /** Publishes completions of `count` frames that {@link send} has sent: one store. */
  complete(count: number): void {
    this.unpublished -= count;
    this.completion.index = (this.completion.index + count) | 0;
    this.completion.produced();
  }

  /** Writes a frame into every slot. */
  write(frame: Uint8Array): void {
    const { u8, slots } = this.arena;
    for (let slot = 0; slot < slots; slot++) u8.set(frame, (slot << SHIFT) + OFFSET);
  }

  free(): void {
    for (const one of [this.fill, this.received, this.toSend, this.completion, ...this.unused]) one.free();
  }
}

/** @throws RunError where the product has not moved what it was given */
export function expect(holds: boolean, what: string, found: number): void {
  if (!holds) throw new RunError("live-ring", `expected ${what}, found ${found}`, "report this as a bug");
}
