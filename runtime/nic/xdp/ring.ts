/**
 * The four rings of an AF_XDP socket (Documentation/networking/af_xdp.rst), mapped from the kernel: indices of 32 bits that only grow,
 * compared by difference, and descriptors behind them. Views are made once.
 */
import { RunError } from "../../errors.js";
import {
  errno,
  errorName,
  getsockopt,
  type Mapping,
  mapDescriptor,
  mappedAt,
  setsockopt,
  unmap,
} from "../net/syscalls.js";
import { type RingLayout, RingMemory } from "../rings/ring-memory.js";

export const SOL_XDP = 283;
const XDP_MMAP_OFFSETS = 1;

/** Socket option that makes a ring, page offset of its mapping, and its place in XDP_MMAP_OFFSETS (linux/if_xdp.h). */
const RINGS = {
  rx: { option: 2, page: 0, place: 0, entryWords: 4 },
  tx: { option: 3, page: 0x8000_0000, place: 1, entryWords: 4 },
  fill: { option: 5, page: 0x1_0000_0000, place: 2, entryWords: 2 },
  completion: { option: 6, page: 0x1_8000_0000, place: 3, entryWords: 2 },
} as const;
export type RingKind = keyof typeof RINGS;

/** Bit of the flags word: the kernel sleeps until a system call wakes it. */
const XDP_RING_NEED_WAKEUP = 1;
/** producer, consumer, descriptors, flags: u64 each. */
const OFFSETS_BYTES = 32;

/** A ring by which all threads of the process can come to it; plain data. */
export interface RingHandle {
  readonly address: number;
  readonly bytes: number;
  readonly layout: RingLayout;
}

export class XdpRing extends RingMemory {
  readonly size: number;
  /** Our own index: next to consume (rx, completion) or to produce (fill, tx). */
  own = 0;
  /** The other side's index when it was looked at last. */
  private seen = 0;

  constructor(
    readonly mapping: Mapping,
    readonly layout: RingLayout,
  ) {
    super(mapping.buffer, layout);
    this.size = layout.size;
  }

  /** Entries the kernel has produced and we have not consumed. */
  get pending(): number {
    return (Atomics.load(this.words, this.producerAt) - this.own) | 0;
  }

  /**
   * Entries the kernel has produced and we have not consumed; it is asked only where fewer than `want` are known of, as its index is in a
   * cache line that it writes to.
   */
  available(want: number): number {
    if (((this.seen - this.own) | 0) < want) this.seen = Atomics.load(this.words, this.producerAt);
    return (this.seen - this.own) | 0;
  }

  /** Room for entries of ours; the kernel is asked only where less than `want` is known of. */
  room(want: number): number {
    if (this.size - ((this.own - this.seen) | 0) < want) this.seen = Atomics.load(this.words, this.consumerAt);
    return this.size - ((this.own - this.seen) | 0);
  }

  /** Entries we have produced and the kernel has not consumed. */
  get unconsumed(): number {
    return (this.own - Atomics.load(this.words, this.consumerAt)) | 0;
  }

  /** Gives the kernel the entries up to `own`. */
  produce(): void {
    Atomics.store(this.words, this.producerAt, this.own);
  }

  /** Gives the kernel the room up to `own`. */
  consume(): void {
    Atomics.store(this.words, this.consumerAt, this.own);
  }

  /** A hint, which nothing is ordered by, hence a plain load (as libxdp's): an atomic one is a call in V8. */
  get needsWakeup(): boolean {
    return (this.words[this.flagsAt]! & XDP_RING_NEED_WAKEUP) !== 0;
  }

  get handle(): RingHandle {
    const { mapping, layout } = this;
    return { address: mapping.address, bytes: mapping.bytes, layout };
  }

  close(): void {
    unmap(this.mapping);
  }
}

/** A ring that another thread has made, and closes; nobody has used it before. */
export function attachRing(ring: RingHandle): XdpRing {
  return new XdpRing(mappedAt(ring), ring.layout);
}

/** Makes a ring of `size` entries, a power of two, and maps it. @throws RunError */
export function makeRing(fd: number, kind: RingKind, size: number, where: string): XdpRing {
  const { option, page, place, entryWords } = RINGS[kind];
  const fail = () => {
    const number = errno();
    return new RunError(where, `the kernel refused an AF_XDP ${kind} ring of ${size} entries: ${errorName(number)}`);
  };
  if (setsockopt(fd, SOL_XDP, option, new Uint8Array(Uint32Array.of(size).buffer), 4) < 0) throw fail();
  const offsets = new Uint8Array(4 * OFFSETS_BYTES);
  const length = new Uint8Array(Uint32Array.of(offsets.length).buffer);
  if (getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, offsets, length) < 0) throw fail();
  const mine = new DataView(offsets.buffer, place * OFFSETS_BYTES, OFFSETS_BYTES);
  const at = (field: number) => Number(mine.getBigUint64(field * 8, true));
  const layout = { producer: at(0), consumer: at(1), entries: at(2), flags: at(3), size, entryWords };
  const bytes = layout.entries + size * entryWords * 4;
  const mapping = mapDescriptor(fd, Math.ceil(bytes / 4096) * 4096, page);
  if (mapping === undefined) throw fail();
  return new XdpRing(mapping, layout);
}
