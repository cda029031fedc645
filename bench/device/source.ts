/** Which packet comes next in an experiment: packets of several classes (an NF's, long ones and short ones), in a sequence that is given. */

/** Classes of packets by slot. */
export interface Mix {
  /** Class of each slot. */
  readonly classOf: Uint8Array;
  /** Classes in the order in which packets come, again and again. Not the order they come back in: that would sort them. */
  readonly sequence: Uint8Array;
}

/** All slots of one class. */
export function oneClass(slots: number): Mix {
  return { classOf: new Uint8Array(slots), sequence: new Uint8Array(1) };
}

/**
 * Random classes, of which one in `every` is class 1 and the others class 0.
 * @param random as frames.ts makes it
 */
export function twoClasses(slots: number, every: number, random: (limit: number) => number): Mix {
  const draw = () => (random(every) === 0 ? 1 : 0);
  return { classOf: Uint8Array.from({ length: slots }, draw), sequence: Uint8Array.from({ length: 1 << 14 }, draw) };
}

export class SlotSource {
  /** Free slots of each class: a ring, so that all take their turn and caches hold no more than they would. */
  private readonly rings: Uint32Array[];
  private readonly heads: Uint32Array;
  private readonly counts: Uint32Array;
  private next = 0;

  constructor(private readonly mix: Mix) {
    const { classOf } = mix;
    const classes = mix.sequence.reduce((most, c) => Math.max(most, c), 0) + 1;
    this.rings = Array.from({ length: classes }, (_, c) =>
      Uint32Array.from(classOf.keys()).filter((slot) => classOf[slot] === c),
    );
    this.heads = new Uint32Array(classes);
    this.counts = Uint32Array.from(this.rings, (ring) => ring.length);
    if (this.counts.includes(0)) throw new Error("a class has no slot");
  }

  /** Takes up to `most` slots into `out`; fewer where the next one's class has none free. */
  take(out: Uint32Array, most: number): number {
    const { rings, heads, counts } = this;
    const { sequence } = this.mix;
    let taken = 0;
    while (taken < most) {
      const c = sequence[this.next]!;
      if (counts[c] === 0) break;
      const ring = rings[c]!;
      const head = heads[c]!;
      out[taken++] = ring[head]!;
      heads[c] = head + 1 === ring.length ? 0 : head + 1;
      counts[c] = counts[c]! - 1;
      this.next = this.next + 1 === sequence.length ? 0 : this.next + 1;
    }
    return taken;
  }

  give(slots: Uint32Array, count: number): void {
    const { rings, heads, counts } = this;
    const { classOf } = this.mix;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const c = classOf[slot]!;
      const ring = rings[c]!;
      const tail = heads[c]! + counts[c]!;
      ring[tail < ring.length ? tail : tail - ring.length] = slot;
      counts[c] = counts[c]! + 1;
    }
  }
}
