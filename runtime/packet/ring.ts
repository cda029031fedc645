/**
 * Single-producer single-consumer ring of slot numbers between two threads (Hummingbird IV-F).
 *
 * Head and tail are free-running u32 counters on cache lines of their own, compared by difference, so wrap-around is no special
 * case. A ring holds as many entries as there are slots, hence no push ever fails. Each side caches the other's index and
 * reads it again only when the cached value says stop.
 */
const LINE_WORDS = 16;
const TAIL = 0;
const HEAD = LINE_WORDS;
const DATA = 2 * LINE_WORDS;

/** Bytes of shared memory a ring for `slots` slots takes. */
export function ringBytes(slots: number): number {
  return (DATA + capacityFor(slots)) * 4;
}

function capacityFor(slots: number): number {
  let capacity = 16;
  while (capacity < slots) capacity *= 2;
  return capacity;
}

abstract class RingEnd {
  protected readonly words: Uint32Array;
  protected readonly atomic: Int32Array;
  protected readonly mask: number;
  readonly capacity: number;
  /** This end's own index, and what it last saw of the other's; both start where the ring stands, so an end can be replaced. */
  protected tail: number;
  protected head: number;

  /**
   * @param memory of {@link ringBytes} bytes at least, zeroed before the first of both ends is made
   * @param slots the same for both ends
   */
  constructor(memory: SharedArrayBuffer, slots: number) {
    this.capacity = capacityFor(slots);
    this.mask = this.capacity - 1;
    if (memory.byteLength < ringBytes(slots)) {
      // Stores behind a typed array are ignored: slots would vanish without a word.
      throw new RangeError(`ring memory has ${memory.byteLength} bytes, ${slots} slots need ${ringBytes(slots)}`);
    }
    this.words = new Uint32Array(memory);
    this.atomic = new Int32Array(memory);
    this.tail = Atomics.load(this.atomic, TAIL) >>> 0;
    this.head = Atomics.load(this.atomic, HEAD) >>> 0;
  }
}

export class RingProducer extends RingEnd {
  /**
   * Appends items[start, start + count).
   * @throws RangeError if they do not fit: an ownership bug, since a ring holds as many entries as there are slots
   */
  push(items: Uint32Array, start: number, count: number): void {
    if (count === 0) return;
    if (((this.tail - this.head) >>> 0) + count > this.capacity) {
      this.head = Atomics.load(this.atomic, HEAD) >>> 0;
      if (((this.tail - this.head) >>> 0) + count > this.capacity) {
        throw new RangeError(`ring overflow: ${count} slots pushed, capacity ${this.capacity}: a slot has two owners`);
      }
    }
    const { words, mask, tail } = this;
    for (let i = 0; i < count; i++) words[DATA + ((tail + i) & mask)] = items[start + i]!;
    this.tail = (tail + count) >>> 0;
    // Publishes the entries: the consumer's load of this index orders its reads behind our writes.
    Atomics.store(this.atomic, TAIL, this.tail | 0);
  }
}

export class RingConsumer extends RingEnd {
  /** True when an entry is waiting. */
  get pending(): boolean {
    return ((Atomics.load(this.atomic, TAIL) - this.head) | 0) !== 0;
  }

  /** Moves up to `max` entries into `out` from index `at`; returns how many. */
  pop(out: Uint32Array, at: number, max: number): number {
    let available = (this.tail - this.head) >>> 0;
    if (available === 0) {
      this.tail = Atomics.load(this.atomic, TAIL) >>> 0;
      available = (this.tail - this.head) >>> 0;
      if (available === 0) return 0;
    }
    const count = Math.min(available, max);
    const { words, mask, head } = this;
    for (let i = 0; i < count; i++) out[at + i] = words[DATA + ((head + i) & mask)]!;
    this.head = (head + count) >>> 0;
    Atomics.store(this.atomic, HEAD, this.head | 0);
    return count;
  }
}
