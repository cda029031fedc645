/**
 * First match among many selectors, most of which name one IPv4 prefix: the packet's address, cut to each prefix length
 * in use, finds the few selectors that can match; those that name none are asked in any case.
 */
import ipaddr from "ipaddr.js";
import { compileSelectors, type SelectorSpec } from "../../runtime/chain/selector.js";
import { type Arena, FLAG, SLOT_SHIFT } from "../../runtime/packet/arena.js";
import { IPV4 } from "../../runtime/packet/protocols.js";

/** Some of the selectors, in their order; answers with the first's number among all, or their count. */
type FirstOf = (slot: number) => number;

export class PrefixIndex {
  private readonly count: number;
  /** Offset in the IPv4 header of the address that is indexed. */
  private readonly offset: number;
  private readonly lengths: { readonly mask: number; readonly byPrefix: Map<number, FirstOf> }[] = [];
  private readonly others: FirstOf;

  constructor(
    specs: readonly SelectorSpec[],
    portNames: readonly string[],
    private readonly arena: Arena,
  ) {
    this.count = specs.length;
    const dstUsed = specs.filter((spec) => prefixes4(spec.dst).length > 0).length;
    const key = specs.filter((spec) => prefixes4(spec.src).length > 0).length > dstUsed ? "src" : "dst";
    this.offset = key === "src" ? IPV4.SRC : IPV4.DST;

    const others: number[] = [];
    const byLength = new Map<number, Map<number, number[]>>();
    specs.forEach((spec, i) => {
      const prefixes = prefixes4(spec[key]);
      // A list may hold IPv6 prefixes too; those are matched the slow way.
      if (prefixes.length === 0 || prefixes.length < [spec[key]!].flat().length) others.push(i);
      for (const { value, length } of prefixes) {
        const byPrefix = getOrSet(byLength, length, () => new Map<number, number[]>());
        const numbers = getOrSet(byPrefix, value, () => []);
        if (numbers.at(-1) !== i) numbers.push(i);
      }
    });

    const firstOf = (numbers: readonly number[], indexed: boolean): FirstOf => {
      const head = numbers[0];
      // The prefix was all its selector asked for, and it has matched.
      if (indexed && Object.keys(specs[head!]!).length === 1) return () => head!;
      const match = compileSelectors(
        numbers.map((i) => specs[i]!),
        portNames,
        arena,
      );
      return (slot) => numbers[match(slot)] ?? specs.length;
    };
    for (const [length, byPrefix] of byLength) {
      const compiled = new Map([...byPrefix].map(([value, numbers]) => [value, firstOf(numbers, true)]));
      this.lengths.push({ mask: prefixMask(length), byPrefix: compiled });
    }
    this.others = firstOf(others, false);
  }

  /** Index of the first matching selector, or their number where none matches. */
  find(slot: number): number {
    const { arena } = this;
    let best = this.others(slot);
    if ((arena.flags[slot]! & FLAG.IPV4) === 0) return best;
    const address = arena.view.getInt32((slot << SLOT_SHIFT) + arena.l3[slot]! + this.offset);
    for (const { mask, byPrefix } of this.lengths) {
      const candidates = byPrefix.get(address & mask);
      if (candidates !== undefined) best = Math.min(best, candidates(slot));
    }
    return Math.min(best, this.count);
  }
}

/** The mask of an IPv4 prefix of `length` bits, as a signed 32-bit value. */
export function prefixMask(length: number): number {
  return length === 0 ? 0 : -1 << (32 - length);
}

/** The IPv4 ones of a selector's prefixes, values as signed 32-bit numbers. */
export function prefixes4(list: string | string[] | undefined): { value: number; length: number }[] {
  return [list ?? []].flat().flatMap((prefix) => {
    const [text, bits] = prefix.split("/");
    const address = ipaddr.parse(text!);
    if (address.kind() !== "ipv4") return [];
    const [a, b, c, d] = address.toByteArray() as [number, number, number, number];
    return [{ value: (a << 24) | (b << 16) | (c << 8) | d, length: Number(bits ?? 32) }];
  });
}

function getOrSet<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
