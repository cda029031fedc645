/**
 * Prefixes as columns of typed arrays, each prefix once. A full BGP table has a million of them: an object per route would take
 * longer to make than the file takes to read.
 */
const FIRST_CAPACITY = 1 << 16;

export class RouteTable {
  count = 0;
  /** First address of the prefix, host byte order; bits beyond the length are 0. */
  addresses = new Uint32Array(FIRST_CAPACITY);
  /** Prefix length, 0..32. */
  lengths = new Uint8Array(FIRST_CAPACITY);
  /** Next hop, 1..MAX_NEXT_HOPS. */
  hops = new Uint16Array(FIRST_CAPACITY);
  /** 1 where a BGP dump named the prefix: there the first path counts. */
  fromDump = new Uint8Array(FIRST_CAPACITY);
  /** Open-addressing hash index over (address, length): route index + 1, 0 where free. At most half full. */
  private index = new Int32Array(2 * FIRST_CAPACITY);

  /**
   * Index of a prefix, which is appended when it is new.
   * It was new exactly when the result equals the {@link count} of before the call; the caller then sets its hop.
   */
  intern(address: number, length: number): number {
    const { index } = this;
    const mask = index.length - 1;
    let at = hashPrefix(address, length) & mask;
    for (let entry = index[at]!; entry !== 0; entry = index[at]!) {
      if (this.addresses[entry - 1] === address && this.lengths[entry - 1] === length) return entry - 1;
      at = (at + 1) & mask;
    }
    const route = this.count++;
    this.addresses[route] = address;
    this.lengths[route] = length;
    index[at] = this.count;
    if (this.count === this.lengths.length) this.grow();
    return route;
  }

  private grow(): void {
    const capacity = this.lengths.length * 2;
    this.addresses = widened(this.addresses, new Uint32Array(capacity));
    this.lengths = widened(this.lengths, new Uint8Array(capacity));
    this.hops = widened(this.hops, new Uint16Array(capacity));
    this.fromDump = widened(this.fromDump, new Uint8Array(capacity));
    const { addresses, lengths } = this;
    const index = new Int32Array(2 * capacity);
    const mask = index.length - 1;
    for (let route = 0; route < this.count; route++) {
      let at = hashPrefix(addresses[route]!, lengths[route]!) & mask;
      while (index[at] !== 0) at = (at + 1) & mask;
      index[at] = route + 1;
    }
    this.index = index;
  }
}

function widened<T extends Uint8Array | Uint16Array | Uint32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

/** 32 well-mixed bits of a prefix: MurmurHash3's finaliser. Also decides which synthetic next hop a plain prefix gets. */
export function hashPrefix(address: number, length: number): number {
  let h = address ^ Math.imul(length, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
