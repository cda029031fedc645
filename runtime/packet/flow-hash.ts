/**
 * The flow a packet belongs to, as a number: symmetric Toeplitz hash over addresses, ports and protocol, for spreading flows over
 * threads. Both directions of a connection have one hash (Woo and Park, "Scalable TCP Session Monitoring with Symmetric Receive-side
 * Scaling", 2012: the key is 0x6d5a again and again). NICs with that key, as DPDK applications set it, compute the same for what they
 * hash, without the protocol.
 *
 * Such a key has a period of 16 bits, so what a 16-bit word adds to the hash does not depend on where it stands: the hash is that of the
 * XOR of all words. It has 16 bits' worth of different values, in both halves.
 */
import { type Arena, FLAG, SLOT_SHIFT } from "./arena.js";
import { IPPROTO, IPV4, IPV6 } from "./protocols.js";

/** Constants of this module are part of the compiled code; imported bindings are looked up at each use (V8 11, Node 20). */
const SHIFT = SLOT_SHIFT;

/** The key's first 32 bits. */
const KEY = 0x6d5a6d5a;

/** Hash of a 16-bit word's upper byte, and of its lower. */
const UPPER = new Uint32Array(256);
const LOWER = new Uint32Array(256);
for (let bit = 0; bit < 8; bit++) {
  // Toeplitz: each bit of the input that is set adds the 32 bits of the key that begin at its place.
  const upper = (KEY << bit) | (KEY >>> (32 - bit));
  const lower = (KEY << (bit + 8)) | (KEY >>> (24 - bit));
  for (let byte = 0; byte < 256; byte++) {
    if ((byte & (0x80 >> bit)) === 0) continue;
    UPPER[byte] = UPPER[byte]! ^ upper;
    LOWER[byte] = LOWER[byte]! ^ lower;
  }
}

/**
 * Hashes of slots[0, count), which have passed the gate, into `out`: addresses, TCP, UDP and SCTP ports, and the protocol. Fragments and
 * packets of other protocols (ICMP, ESP) go by addresses and protocol alone, so that all of a flow have one hash; IPv6 fragments by
 * addresses alone, for only the first can tell the protocol behind its extension headers; frames that are not IP have 0.
 */
export function flowHashes(arena: Arena, slots: Uint32Array, count: number, out: Uint32Array): void {
  const { u16, flags, l3, sport, dport, proto } = arena;
  for (let i = 0; i < count; i++) {
    const slot = slots[i]!;
    const flag = flags[slot]!;
    // IP headers begin at even addresses (see the gate).
    let word = ((slot << SHIFT) + l3[slot]!) >> 1;
    let protocol = proto[slot]!;
    let bits: number;
    if ((flag & FLAG.IPV4) !== 0) {
      word += IPV4.SRC >> 1;
      bits = u16[word]! ^ u16[word + 1]! ^ u16[word + 2]! ^ u16[word + 3]!;
    } else if ((flag & FLAG.IPV6) !== 0) {
      word += IPV6.SRC >> 1;
      bits = u16[word]! ^ u16[word + 1]! ^ u16[word + 2]! ^ u16[word + 3]!;
      bits ^= u16[word + 4]! ^ u16[word + 5]! ^ u16[word + 6]! ^ u16[word + 7]!;
      bits ^= u16[word + 8]! ^ u16[word + 9]! ^ u16[word + 10]! ^ u16[word + 11]!;
      bits ^= u16[word + 12]! ^ u16[word + 13]! ^ u16[word + 14]! ^ u16[word + 15]!;
      if ((flag & FLAG.FRAGMENT) !== 0) protocol = 0;
    } else {
      out[i] = 0;
      continue;
    }
    // Network byte order in memory, native in the metadata.
    bits = ((bits & 0xff) << 8) | (bits >> 8);
    bits ^= protocol;
    if ((flag & FLAG.L4) !== 0 && (protocol === IPPROTO.TCP || protocol === IPPROTO.UDP || protocol === IPPROTO.SCTP)) {
      bits ^= sport[slot]! ^ dport[slot]!;
    }
    out[i] = UPPER[bits >> 8]! ^ LOWER[bits & 0xff]!;
  }
}
