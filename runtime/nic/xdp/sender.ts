/** The sending side of an AF_XDP port: TX ring, the system calls that make the kernel send, and slots until they are completed. */
import { performance } from "node:perf_hooks";
import { ownLoop } from "../../native/own-code.js";
import { type Arena, SLOT_SHIFT } from "../../packet/arena.js";
import { ERRNO, errno, sendto } from "../net/syscalls.js";
import { makeOffer, makeReap, type Offer, type Reap, SLOT } from "../rings/loops.js";
import type { XdpRing } from "./ring.js";

/** Constants of this module are part of the compiled code (see egress.ts). */
const SHIFT = SLOT_SHIFT;
const MSG_DONTWAIT = 0x40;
const { EAGAIN, EBUSY, ENOBUFS } = ERRNO;
/** Ms that a full ring may stand still before what does not fit is given up: a driver's queue of 4096 frames at 1 Gbps takes 50. */
const PATIENCE_MS = 100;
/** Calls that brought nothing before the clock is looked at. */
const CALLS_PER_LOOK = 16;
/** An address beyond any arena. */
const INVALID = 0xffff_f800;

/** What of a socket its sender uses. */
export interface SendingSocket {
  readonly fd: number;
  readonly tx: XdpRing | undefined;
  readonly completion: XdpRing;
  readonly bound: boolean;
  readonly zeroCopy: boolean;
  /** The flag of its TX ring says for certain whether a driver that reads the ring itself sleeps. */
  readonly tellsWakeup: boolean;
}

export class XdpSender {
  /** Frames handed to {@link transmit} that did not leave, and their bytes. */
  errors = 0;
  errorBytes = 0;
  private readonly tx: XdpRing;
  /** By slot: 1 from transmit to completion. */
  private readonly sending: Uint8Array;
  private outstanding = 0;
  private readonly offer: Offer;
  private readonly reapInto: Reap;
  /** Slots to hand back. */
  private readonly back: Uint32Array;
  private backCount = 0;
  /** Index of the TX ring up to which a kernel that copies has sent or lost. */
  private passed = 0;

  /** @param bind binds the socket where it is not; false while the interface is down */
  constructor(
    private readonly socket: SendingSocket,
    private readonly arena: Pick<Arena, "off" | "len" | "slots">,
    private readonly bind: () => boolean,
  ) {
    this.tx = socket.tx!;
    this.sending = new Uint8Array(arena.slots);
    this.back = new Uint32Array(arena.slots);
    this.offer = ownLoop(makeOffer, this.tx, this.sending, arena, SLOT);
    this.reapInto = ownLoop(makeReap, socket.completion, this.sending, SLOT);
  }

  transmit(slots: Uint32Array, count: number): void {
    if (this.outstanding > this.tx.size) this.reap();
    let from = 0;
    if (this.socket.bound || this.bind()) {
      while (from < count) {
        const room = this.tx.room(count - from);
        if (room === 0 && !this.makeRoom()) break;
        const some = Math.min(room, count - from);
        this.produce(slots, from, some);
        from += some;
      }
      if (this.socket.zeroCopy) this.wake();
      else this.send();
    }
    this.giveUp(slots, from, count);
  }

  private produce(slots: Uint32Array, from: number, count: number): void {
    const { tx } = this;
    this.offer(slots, from, count, tx.own);
    this.outstanding += count;
    tx.own = (tx.own + count) | 0;
    tx.produce();
  }

  /** A driver that reads the ring itself. */
  private wake(): void {
    if (this.tx.needsWakeup || !this.socket.tellsWakeup) sendto(this.socket.fd, null, 0, MSG_DONTWAIT, null, 0);
  }

  /**
   * Has a kernel that copies send what is in the ring, which happens within the calls: a burst in each, or with older kernels 32 frames. The
   * ring is empty afterwards, or taken back.
   *
   * EBUSY: the driver refused one frame, which the kernel has freed and completes. Where none was sent before it in the same call, the
   * kernel does not publish that it has passed it (net/xdp/xsk.c, __xsk_generic_xmit), hence `passed`.
   */
  private send(): void {
    const { tx, socket } = this;
    let calls = 0;
    let deadline = 0;
    let { passed } = this;
    while (passed !== tx.own) {
      const number = sendto(socket.fd, null, 0, MSG_DONTWAIT, null, 0) < 0 ? errno() : 0;
      const published = (tx.own - tx.unconsumed) | 0;
      const moved = ((published - passed) | 0) > 0;
      if (moved) passed = published;
      if (number === EBUSY) {
        if (!moved) passed = (passed + 1) | 0;
        this.lose((passed - 1) & tx.mask);
      }
      this.passed = passed;
      if (moved || number === EBUSY) {
        calls = 0;
        deadline = 0;
        continue;
      }
      // The completion ring may be what is full.
      this.reap();
      const wait = number === 0 || number === EAGAIN || number === ENOBUFS;
      if (wait && ++calls % CALLS_PER_LOOK !== 0) continue;
      if (wait && deadline === 0) deadline = performance.now() + PATIENCE_MS;
      if (wait && performance.now() < deadline) continue;
      this.takeBack();
      return;
    }
  }

  /** @returns false where the ring stays full */
  private makeRoom(): boolean {
    const { tx, socket } = this;
    const deadline = performance.now() + PATIENCE_MS;
    if (!socket.zeroCopy) this.send();
    do {
      // Has the kernel publish what it has passed, or a driver go on.
      sendto(socket.fd, null, 0, MSG_DONTWAIT, null, 0);
      this.reap();
      if (tx.unconsumed < tx.size) return true;
    } while (socket.zeroCopy && performance.now() < deadline);
    return false;
  }

  /**
   * Gives up what stands in the ring of a kernel that copies. It may have read how far the ring goes already, so entries are not taken
   * out but made invalid, which it passes over; it reads them in this thread's calls only.
   */
  private takeBack(): void {
    const { tx } = this;
    for (; this.passed !== tx.own; this.passed = (this.passed + 1) | 0) {
      const at = (this.passed & tx.mask) << 2;
      this.lose(at >> 2);
      this.complete(tx.entries[at]! >>> SHIFT);
      tx.entries[at] = INVALID;
    }
  }

  private lose(entry: number): void {
    this.errors++;
    this.errorBytes += this.tx.entries[(entry << 2) + 2]!;
  }

  private giveUp(slots: Uint32Array, from: number, count: number): void {
    for (let i = from; i < count; i++) {
      const slot = slots[i]!;
      this.errors++;
      this.errorBytes += this.arena.len[slot]!;
      this.back[this.backCount++] = slot;
    }
  }

  /** Kernels complete the entries they pass over as invalid, too: such a slot is none. */
  private complete(slot: number): void {
    if (this.sending[slot] !== 1) return;
    this.sending[slot] = 0;
    this.outstanding--;
    this.back[this.backCount++] = slot;
  }

  /** Takes what the kernel has completed. */
  private reap(): void {
    const { completion } = this.socket;
    this.backCount += this.take(this.back, this.backCount, completion.available(completion.size));
  }

  /** Takes entries off the completion ring. @returns how many slots it has written to into[at...) */
  private take(into: Uint32Array, at: number, count: number): number {
    if (count === 0) return 0;
    const { completion } = this.socket;
    const taken = this.reapInto(into, at, count, completion.own);
    this.outstanding -= taken;
    completion.own = (completion.own + count) | 0;
    completion.consume();
    return taken;
  }

  /** See TxPort.reclaim. */
  reclaim(slots: Uint32Array, force: boolean): number {
    if (force) {
      this.reap();
      if (this.outstanding > 0) this.abandon();
    }
    const { backCount } = this;
    // What waits here already, else straight from the ring.
    if (backCount === 0) {
      if (this.outstanding === 0) return 0;
      return this.take(slots, 0, Math.min(slots.length, this.socket.completion.available(slots.length)));
    }
    const count = Math.min(slots.length, backCount);
    for (let i = 0; i < count; i++) slots[i] = this.back[--this.backCount]!;
    return count;
  }

  /** What was never completed, as with a link that stays down behind a driver's queue: nobody knows of it as sent. */
  private abandon(): void {
    const { sending, arena } = this;
    for (let slot = sending.indexOf(1); slot >= 0; slot = sending.indexOf(1, slot + 1)) {
      this.errors++;
      this.errorBytes += arena.len[slot]!;
      this.complete(slot);
    }
  }
}
