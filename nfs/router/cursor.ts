/** A cursor over the bytes of a route file: what the formats have in common. A string per line would take longer than the rest. */
const TAB = 0x09;
const CR = 0x0d;
const SPACE = 0x20;
export const HASH = 0x23;
const DOT = 0x2e;
const SLASH = 0x2f;
const ZERO = 0x30;
export const PIPE = 0x7c;

export class Cursor {
  bytes: Uint8Array = new Uint8Array(0);
  /** Where the next of the methods reads. */
  at = 0;

  /**
   * A dotted quad at the cursor as a number, the cursor moved behind it; -1 where there is none.
   * No leading zeros: they mean octal to some.
   */
  quad(): number {
    const { bytes } = this;
    let at = this.at;
    let value = 0;
    for (let part = 0; part < 4; part++) {
      if (part > 0 && bytes[at++] !== DOT) return -1;
      let octet = bytes[at]! - ZERO;
      if (!(octet >= 0 && octet <= 9)) return -1;
      at++;
      for (let digit = bytes[at]! - ZERO; digit >= 0 && digit <= 9; digit = bytes[at]! - ZERO) {
        if (octet === 0) return -1;
        octet = octet * 10 + digit;
        if (octet > 255) return -1;
        at++;
      }
      value = value * 256 + octet;
    }
    this.at = at;
    return value;
  }

  /** "/LEN" at the cursor, 0..32; -1 where there is none. */
  slashLength(): number {
    const { bytes } = this;
    if (bytes[this.at] !== SLASH) return -1;
    const tens = bytes[this.at + 1]! - ZERO;
    if (!(tens >= 0 && tens <= 9)) return -1;
    const ones = bytes[this.at + 2]! - ZERO;
    if (!(ones >= 0 && ones <= 9)) {
      this.at += 2;
      return tens;
    }
    this.at += 3;
    return tens === 0 || tens * 10 + ones > 32 ? -1 : tens * 10 + ones;
  }

  /** Moves the cursor over blanks; true at the end of the line or at a comment. */
  atEnd(stop: number): boolean {
    while (this.at < stop && isBlank(this.bytes[this.at]!)) this.at++;
    return this.at >= stop || this.bytes[this.at] === HASH;
  }

  /** Where the field begins that is `count` '|' further than `at`; `stop` where there are fewer. */
  field(at: number, stop: number, count: number): number {
    const { bytes } = this;
    let seen = 0;
    let field = at;
    while (field < stop && seen < count) if (bytes[field++] === PIPE) seen++;
    return field;
  }

  /** Whether the bytes from `at` on are these. */
  startsWith(at: number, expected: Uint8Array): boolean {
    for (let i = 0; i < expected.length; i++) if (this.bytes[at + i] !== expected[i]) return false;
    return true;
  }

  /** Text from `at` up to a blank, `delimiter` or `stop`. */
  token(at: number, stop: number, delimiter = SPACE): string {
    let end = at;
    while (end < stop && !isBlank(this.bytes[end]!) && this.bytes[end] !== delimiter) end++;
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset + at, end - at).toString();
  }
}

/** CR too, so that lines may end in CR LF. */
export function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB || byte === CR;
}
