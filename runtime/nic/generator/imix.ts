/** Simple IMIX: 7 : 4 : 1 of small, medium and large frames, as testers of the field have it. */
import type { Random } from "./random.js";

/** In wingbeat's frame sizes, which are layer 2 without FCS. */
export const IMIX: readonly number[] = [
  ...Array<number>(28).fill(64),
  ...Array<number>(16).fill(570),
  ...Array<number>(4).fill(1518),
];

/** Deals frame sizes: all 48 of an IMIX in an order drawn anew each time, so that the mix is right after every 48. */
export class ImixDeck {
  private left = 0;
  private readonly sizes = IMIX.slice();

  constructor(private readonly random: Random) {}

  deal(): number {
    const { sizes } = this;
    if (this.left === 0) this.left = sizes.length;
    const at = this.random.below(this.left--);
    const size = sizes[at]!;
    sizes[at] = sizes[this.left]!;
    sizes[this.left] = size;
    return size;
  }
}
