/**
 * Which inbound SA an ESP packet belongs to: (destination, SPI), by open addressing in one typed array (RFC 4301
 * section 4.4.2).
 */
import type { Sa } from "./sas.js";

/** Words of an entry: destination, SPI, number of the SA plus 1; 0 in the last is an empty entry. */
const ENTRY_SHIFT = 2;
const SPI = 1;
const SA = 2;
/** SPI 0 is never sent (RFC 4303 section 2.1), so an entry with it says "this destination is ours". */
const ANY_SPI = 0;

export class SaLookup {
  private readonly table: Int32Array;
  private readonly mask: number;

  constructor(sas: readonly Sa[]) {
    let entries = 16;
    // Two entries at most for an SA, at most half full.
    while (entries < 4 * sas.length) entries *= 2;
    this.table = new Int32Array(entries << ENTRY_SHIFT);
    this.mask = entries - 1;
    sas.forEach((sa, i) => {
      this.insert(sa.dst | 0, sa.spi | 0, i);
      this.insert(sa.dst | 0, ANY_SPI, i);
    });
  }

  private insert(dst: number, spi: number, sa: number): void {
    let at = this.start(dst, spi);
    while (this.table[at + SA] !== 0) {
      if (this.table[at] === dst && this.table[at + SPI] === spi) return;
      at = this.next(at);
    }
    this.table.set([dst, spi, sa + 1], at);
  }

  /** Number of the SA, or -1. Both arguments are signed 32-bit values. */
  find(dst: number, spi: number): number {
    const { table } = this;
    let at = this.start(dst, spi);
    while (table[at + SA] !== 0) {
      if (table[at] === dst && table[at + SPI] === spi) return table[at + SA]! - 1;
      at = this.next(at);
    }
    return -1;
  }

  /** Whether any inbound SA ends at this destination. */
  isOurs(dst: number): boolean {
    return this.find(dst, ANY_SPI) >= 0;
  }

  private start(dst: number, spi: number): number {
    let h = Math.imul(dst, 0x9e3779b1) ^ Math.imul(spi, 0x85ebca77);
    h ^= h >>> 15;
    return (h & this.mask) << ENTRY_SHIFT;
  }

  private next(at: number): number {
    return ((((at >> ENTRY_SHIFT) + 1) & this.mask) << ENTRY_SHIFT) | 0;
  }
}
