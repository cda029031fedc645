/**
 * Which outbound SA a packet takes: the first whose selector matches. With a thousand SAs asking one selector after the other
 * would cost more than the encryption, so two things stand in front of that, neither of which can change the answer:
 *
 * - an exact cache from the fields the selectors read, and only those, to the answer (a set of two entries a hash, bounded);
 * - behind it, an index of IPv4 prefixes, so that a miss asks only the selectors whose prefix the address is in.
 */

import type { SelectorSpec } from "../../runtime/chain/selector.js";
import { type Arena, FLAG, SLOT_SHIFT } from "../../runtime/packet/arena.js";
import { IPV4, IPV6 } from "../../runtime/packet/protocols.js";
import { PrefixIndex, prefixes4, prefixMask } from "./prefix-index.js";

const SETS_BITS = 13;
/** IPv4 entry: source, destination, ports, the rest, VLAN, answer + 1 (0: empty). Two of 8 words: a cache line. */
const WAY_WORDS = 8;
const ANSWER = 5;
/** IPv6 entry: addresses, ports, the rest, VLAN, answer + 1. */
const V6_BITS = 12;
const V6_WORDS = 16;
const V6_ANSWER = 11;

export class SaSelection {
  private readonly index: PrefixIndex;
  private readonly cache = new Int32Array((2 * WAY_WORDS) << SETS_BITS);
  private readonly cache6 = new Int32Array(V6_WORDS << V6_BITS);
  private readonly key6 = new Int32Array(V6_ANSWER);
  /** Which bits of the IPv4 addresses (network order read as a value), ports, other fields and VLAN the selectors read. */
  private readonly srcMask: number;
  private readonly dstMask: number;
  private readonly portMask: number;
  private readonly restMask: number;
  private readonly vlanMask: number;

  constructor(
    specs: readonly SelectorSpec[],
    portNames: readonly string[],
    private readonly arena: Arena,
  ) {
    this.index = new PrefixIndex(specs, portNames, arena);
    const reads = (...keys: (keyof SelectorSpec)[]) =>
      specs.some((spec) => keys.some((key) => spec[key] !== undefined));
    const ports = reads("sport", "dport");
    this.srcMask = longestMask(specs, "src");
    this.dstMask = longestMask(specs, "dst");
    this.portMask = ports ? -1 : 0;
    this.vlanMask = reads("vlan") ? -1 : 0;
    const flags = (reads("fragment") ? FLAG.FRAGMENT : 0) | (ports ? FLAG.L4 : 0) | (reads("vlan") ? FLAG.VLAN : 0);
    this.restMask =
      (flags << 24) |
      (reads("port") ? 0xff << 16 : 0) |
      (reads("dscp") ? 0xfc << 8 : 0) |
      (ports || reads("proto") ? 0xff : 0);
  }

  /** Index of the first matching selector for an IP packet that passed the gate, or their number where none matches. */
  find(slot: number): number {
    const { arena } = this;
    const flags = arena.flags[slot]!;
    const at = (slot << SLOT_SHIFT) + arena.l3[slot]!;
    const ports = ((arena.sport[slot]! << 16) | arena.dport[slot]!) & this.portMask;
    const vlan = arena.vlan[slot]! & this.vlanMask;
    const rest = (flags << 24) | (arena.portIn[slot]! << 16) | arena.proto[slot]!;
    if ((flags & FLAG.IPV4) === 0) return this.find6(slot, at, ports, rest, vlan);

    const { cache } = this;
    const src = arena.view.getInt32(at + IPV4.SRC) & this.srcMask;
    const dst = arena.view.getInt32(at + IPV4.DST) & this.dstMask;
    const other = (rest | (arena.u8[at + IPV4.TOS]! << 8)) & this.restMask;
    let h =
      Math.imul(src, 0x9e3779b1) ^ Math.imul(dst, 0x85ebca77) ^ Math.imul(ports ^ (other << 7) ^ vlan, 0xc2b2ae3d);
    h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
    const first = (h >>> (32 - SETS_BITS)) * 2 * WAY_WORDS;
    for (let e = first; e < first + 2 * WAY_WORDS; e += WAY_WORDS) {
      if (
        cache[e + 1] === dst &&
        cache[e] === src &&
        cache[e + 2] === ports &&
        cache[e + 3] === other &&
        cache[e + 4] === vlan &&
        cache[e + ANSWER] !== 0
      ) {
        return cache[e + ANSWER]! - 1;
      }
    }
    const answer = this.index.find(slot);
    // The newest comes first, the one before it second: the least recently filled goes.
    cache.copyWithin(first + WAY_WORDS, first, first + WAY_WORDS);
    cache[first] = src;
    cache[first + 1] = dst;
    cache[first + 2] = ports;
    cache[first + 3] = other;
    cache[first + 4] = vlan;
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
