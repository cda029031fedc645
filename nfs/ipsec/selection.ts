/**
 * Which outbound SA a packet takes: the first whose selector matches. With a thousand SAs asking one selector after the
 * other would cost more than the encryption, so two things stand in front of that, neither of which can change the
 * answer:
 *
 * - an exact cache from the fields the selectors read, and only those, to the answer (a set of two entries a hash,
 * bounded);
 * - behind it, an index of IPv4 prefixes, so that a miss asks only the selectors whose prefix the address is in.
 */

import type { SelectorSpec } from "../../runtime/chain/selector.js";
import { type Arena, FLAG, SLOT_SHIFT } from "../../runtime/packet/arena.js";
import { IPV4, IPV6 } from "../../runtime/packet/protocols.js";
import { PrefixIndex, prefixes4, prefixMask } from "./prefix-index.js";

const SETS_BITS = 12;
/** IPv4 entry: source, destination, ports, the rest, VLAN, answer + 1 (0: empty). Two of 8 words: a cache line. */
const WAY_WORDS = 8;
const ANSWER = 5;
/** IPv6 entry: addresses, ports, the rest, VLAN, answer + 1. */
const V6_BITS = 12;
const V6_WORDS = 16;
const V6_ANSWER = 11;

// Imported bindings are looked up at each use by V8 11; constants of this module are part of the compiled code.
const SHIFT = SLOT_SHIFT;
const IPV4_FLAG = FLAG.IPV4;
const IP_FLAGS = FLAG.IPV4 | FLAG.IPV6;
const SRC_AT = IPV4.SRC;
const DST_AT = IPV4.DST;
const TOS_AT = IPV4.TOS;

/** First word of the set a key belongs to. */
function setOf(src: number, dst: number, ports: number, rest: number, tag: number): number {
  let h = Math.imul(src, 0x9e3779b1) ^ Math.imul(dst, 0x85ebca77) ^ Math.imul(ports ^ (rest << 7) ^ tag, 0xc2b2ae3d);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  return (h >>> (32 - SETS_BITS)) * 2 * WAY_WORDS;
}

export class SaSelection {
  private readonly index: PrefixIndex;
  private readonly cache = new Int32Array((2 * WAY_WORDS) << SETS_BITS);
  private readonly cache6 = new Int32Array(V6_WORDS << V6_BITS);
  private readonly key = new Int32Array(ANSWER);
  private readonly key6 = new Int32Array(V6_ANSWER);
  /** Which bits of the IPv4 addresses (as native words), ports, other fields and VLAN the selectors read. */
  private readonly srcMask: number;
  private readonly dstMask: number;
  private readonly portMask: number;
  private readonly restMask: number;
  private readonly vlanMask: number;
  private readonly addressesOnly: boolean;
  private readonly words: Int32Array;
  private readonly count: number;

  constructor(
    specs: readonly SelectorSpec[],
    portNames: readonly string[],
    private readonly arena: Arena,
  ) {
    this.index = new PrefixIndex(specs, portNames, arena);
    const reads = (...keys: (keyof SelectorSpec)[]) =>
      specs.some((spec) => keys.some((key) => spec[key] !== undefined));
    const ports = reads("sport", "dport");
    this.srcMask = asNative(longestMask(specs, "src"));
    this.dstMask = asNative(longestMask(specs, "dst"));
    this.words = new Int32Array(arena.buffer, 0, arena.u32.length);
    this.count = specs.length;
    this.portMask = ports ? -1 : 0;
    this.vlanMask = reads("vlan") ? -1 : 0;
    const flags = (reads("fragment") ? FLAG.FRAGMENT : 0) | (ports ? FLAG.L4 : 0) | (reads("vlan") ? FLAG.VLAN : 0);
    this.restMask =
      (flags << 24) |
      (reads("port") ? 0xff << 16 : 0) |
      (reads("dscp") ? 0xfc << 8 : 0) |
      (ports || reads("proto") ? 0xff : 0);
    this.addressesOnly = (this.portMask | this.restMask | this.vlanMask) === 0;
  }

  /**
   * For slots[0, count), which passed the gate: writes into `answers` the index of the first matching selector, or
   * their number where none matches and for what is not IP. First a loop without calls over the cache, then what it did
   * not answer.
   */
  find(slots: Uint32Array, count: number, answers: Int32Array): void {
    const misses = this.addressesOnly
      ? this.lookUpAddresses(slots, count, answers)
      : this.lookUp(slots, count, answers);
    if (misses === 0) return;
    const { flags } = this.arena;
    for (let i = 0; i < count; i++) {
      if (answers[i]! >= 0) continue;
      answers[i] = (flags[slots[i]!]! & IP_FLAGS) === 0 ? this.count : this.miss(slots[i]!);
    }
  }

  /** Answers from the cache, -1 where it has none; returns how many those are. */
  private lookUp(slots: Uint32Array, count: number, answers: Int32Array): number {
    const { cache, srcMask, dstMask, portMask, restMask, vlanMask } = this;
    const { flags, l3, sport, dport, vlan, portIn, proto, view, u8 } = this.arena;
    let misses = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const at = (slot << SHIFT) + l3[slot]!;
      const src = view.getInt32(at + SRC_AT, true) & srcMask;
      const dst = view.getInt32(at + DST_AT, true) & dstMask;
      const ports = ((sport[slot]! << 16) | dport[slot]!) & portMask;
      const f = flags[slot]!;
      const rest = ((f << 24) | (portIn[slot]! << 16) | (u8[at + TOS_AT]! << 8) | proto[slot]!) & restMask;
      const tag = vlan[slot]! & vlanMask;
      const e = setOf(src, dst, ports, rest, tag);
      const g = e + WAY_WORDS;
      let answer = 0;
      if (
        ((cache[e]! ^ src) |
          (cache[e + 1]! ^ dst) |
          (cache[e + 2]! ^ ports) |
          (cache[e + 3]! ^ rest) |
          (cache[e + 4]! ^ tag)) ===
        0
      ) {
        answer = cache[e + ANSWER]!;
      } else if (
        ((cache[g]! ^ src) |
          (cache[g + 1]! ^ dst) |
          (cache[g + 2]! ^ ports) |
          (cache[g + 3]! ^ rest) |
          (cache[g + 4]! ^ tag)) ===
        0
      ) {
        answer = cache[g + ANSWER]!;
      }
      if ((f & IPV4_FLAG) === 0) answer = 0;
      answers[i] = answer - 1;
      if (answer === 0) misses++;
    }
    return misses;
  }

  /**
   * The same where no selector reads more than addresses, which is the usual case: fewer fields to fetch for each
   * packet. Addresses are cut out of aligned words, as they lie behind an untagged Ethernet header; packets that lie
   * otherwise count as missed.
   */
  private lookUpAddresses(slots: Uint32Array, count: number, answers: Int32Array): number {
    const { cache, srcMask, dstMask, words } = this;
    const { flags, l3 } = this.arena;
    let misses = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const at = ((slot << SHIFT) + l3[slot]!) | 0;
      const w = (at + SRC_AT) >>> 2;
      const middle = words[w + 1]!;
      const src = ((words[w]! >>> 16) | (middle << 16)) & srcMask;
      const dst = ((middle >>> 16) | (words[w + 2]! << 16)) & dstMask;
      const e = setOf(src, dst, 0, 0, 0);
      let answer = 0;
      if (cache[e] === src && cache[e + 1] === dst) answer = cache[e + ANSWER]!;
      else if (cache[e + WAY_WORDS] === src && cache[e + WAY_WORDS + 1] === dst)
        answer = cache[e + WAY_WORDS + ANSWER]!;
      if ((flags[slot]! & IPV4_FLAG) === 0 || (at & 3) !== 2) answer = 0;
      answers[i] = answer - 1;
      if (answer === 0) misses++;
    }
    return misses;
  }

  /** What the cache did not answer; fills it. */
  private miss(slot: number): number {
    const { arena, cache } = this;
    const f = arena.flags[slot]!;
    const at = (slot << SHIFT) + arena.l3[slot]!;
    const ports = ((arena.sport[slot]! << 16) | arena.dport[slot]!) & this.portMask;
    const tag = arena.vlan[slot]! & this.vlanMask;
    const known = (f << 24) | (arena.portIn[slot]! << 16) | arena.proto[slot]!;
    if ((f & IPV4_FLAG) === 0) return this.find6(slot, at, ports, known, tag);
    const src = arena.view.getInt32(at + SRC_AT, true) & this.srcMask;
    const dst = arena.view.getInt32(at + DST_AT, true) & this.dstMask;
    const rest = (known | (arena.u8[at + TOS_AT]! << 8)) & this.restMask;
    const first = setOf(src, dst, ports, rest, tag);
    const { key } = this;
    key[0] = src;
    key[1] = dst;
    key[2] = ports;
    key[3] = rest;
    key[4] = tag;
    // Here after all where the fast look-up did not want the packet, or an earlier one of this batch filled it in.
    for (let e = first; e <= first + WAY_WORDS; e += WAY_WORDS) {
      let same = cache[e + ANSWER] !== 0;
      for (let k = 0; k < ANSWER && same; k++) same = cache[e + k] === key[k];
      if (same) return cache[e + ANSWER]! - 1;
    }
    const answer = this.index.find(slot);
    // The newest comes first, the one before it second: the least recently filled goes.
    cache.copyWithin(first + WAY_WORDS, first, first + WAY_WORDS);
    cache.set(key, first);
    cache[first + ANSWER] = answer + 1;
    return answer;
  }

  private find6(slot: number, at: number, ports: number, rest: number, vlan: number): number {
    const { cache6, key6 } = this;
    const { view } = this.arena;
    const trafficClass = (view.getUint16(at) >> 4) & 0xff;
    let h = 0;
    for (let k = 0; k < 8; k++) key6[k] = view.getInt32(at + IPV6.SRC + 4 * k);
    key6[8] = ports;
    key6[9] = (rest | (trafficClass << 8)) & this.restMask;
    key6[10] = vlan;
    for (let k = 0; k < V6_ANSWER; k++) h = Math.imul(h ^ key6[k]! ^ (h >>> 15), 0x9e3779b1);
    const entry = (h >>> (32 - V6_BITS)) * V6_WORDS;
    let same = cache6[entry + V6_ANSWER] !== 0;
    for (let k = 0; k < V6_ANSWER && same; k++) same = cache6[entry + k] === key6[k];
    if (same) return cache6[entry + V6_ANSWER]! - 1;
    const answer = this.index.find(slot);
    cache6.set(key6, entry);
    cache6[entry + V6_ANSWER] = answer + 1;
    return answer;
  }
}

/** The bits the longest IPv4 prefix of a key reads: no shorter one reads others. */
function longestMask(specs: readonly SelectorSpec[], key: "src" | "dst"): number {
  const lengths = specs.flatMap((spec) => prefixes4(spec[key]).map((prefix) => prefix.length));
  return prefixMask(Math.max(0, ...lengths));
}

/** A value in network order as a native load gives it. */
function asNative(value: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setInt32(0, value);
  return view.getInt32(0, true);
}
