/**
 * Header constants, each written once. Offsets are from the first byte of the header they belong to.
 *
 * They are const enums because those are written into the code that uses them: V8 11 (Node 20) looks an imported binding up at each
 * use, which in a per-packet loop costs more than the work.
 */

/** IEEE 802.3 */
export const enum ETHERNET {
  DST = 0,
  SRC = 6,
  TYPE = 12,
  BYTES = 14,
}
export const enum ETHERTYPE {
  IPV4 = 0x0800,
  IPV6 = 0x86dd,
  ARP = 0x0806,
  VLAN = 0x8100,
  QINQ = 0x88a8,
  QINQ_OLD = 0x9100,
}
/** IEEE 802.1Q */
export const VLAN_TAG_BYTES = 4;

/** RFC 791 section 3.1 */
export const enum IPV4 {
  VERSION_IHL = 0,
  TOS = 1,
  TOTAL_LENGTH = 2,
  ID = 4,
  FRAGMENT = 6,
  TTL = 8,
  PROTOCOL = 9,
  CHECKSUM = 10,
  SRC = 12,
  DST = 16,
  MIN_BYTES = 20,
  FLAG_DF = 0x4000,
  FLAG_MF = 0x2000,
  OFFSET_MASK = 0x1fff,
}

/** RFC 8200 section 3 */
export const enum IPV6 {
  PAYLOAD_LENGTH = 4,
  NEXT_HEADER = 6,
  HOP_LIMIT = 7,
  SRC = 8,
  DST = 24,
  BYTES = 40,
}

/** IANA protocol numbers. */
export const enum IPPROTO {
  HOPOPTS = 0,
  ICMP = 1,
  IPV4 = 4,
  TCP = 6,
  UDP = 17,
  IPV6 = 41,
  ROUTING = 43,
  FRAGMENT = 44,
  ESP = 50,
  AH = 51,
  ICMPV6 = 58,
  NONE = 59,
  DSTOPTS = 60,
  SCTP = 132,
  MOBILITY = 135,
}

/** RFC 768 */
export const enum UDP {
  SPORT = 0,
  DPORT = 2,
  LENGTH = 4,
  CHECKSUM = 6,
  BYTES = 8,
}
/** RFC 9293 section 3.1 */
export const enum TCP {
  SPORT = 0,
  DPORT = 2,
  SEQ = 4,
  ACK = 8,
  DATA_OFFSET = 12,
  FLAGS = 13,
  CHECKSUM = 16,
  MIN_BYTES = 20,
}
export const enum TCP_FLAG {
  FIN = 1,
  SYN = 2,
  RST = 4,
  PSH = 8,
  ACK = 16,
  URG = 32,
  ECE = 64,
  CWR = 128,
}
