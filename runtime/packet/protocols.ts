/** Header constants, each written once. Offsets are from the first byte of the header they belong to. */

/** IEEE 802.3 */
export const ETHERNET = { DST: 0, SRC: 6, TYPE: 12, BYTES: 14 } as const;
export const ETHERTYPE = {
  IPV4: 0x0800,
  IPV6: 0x86dd,
  ARP: 0x0806,
  VLAN: 0x8100,
  QINQ: 0x88a8,
  QINQ_OLD: 0x9100,
} as const;
/** IEEE 802.1Q */
export const VLAN_TAG_BYTES = 4;

/** RFC 791 section 3.1 */
export const IPV4 = {
  VERSION_IHL: 0,
  TOS: 1,
  TOTAL_LENGTH: 2,
  ID: 4,
  FRAGMENT: 6,
  TTL: 8,
  PROTOCOL: 9,
  CHECKSUM: 10,
  SRC: 12,
  DST: 16,
  MIN_BYTES: 20,
  FLAG_DF: 0x4000,
  FLAG_MF: 0x2000,
  OFFSET_MASK: 0x1fff,
} as const;

/** RFC 8200 section 3 */
export const IPV6 = { PAYLOAD_LENGTH: 4, NEXT_HEADER: 6, HOP_LIMIT: 7, SRC: 8, DST: 24, BYTES: 40 } as const;

/** IANA protocol numbers. */
export const IPPROTO = {
  HOPOPTS: 0,
  ICMP: 1,
  IPV4: 4,
  TCP: 6,
  UDP: 17,
  IPV6: 41,
  ROUTING: 43,
  FRAGMENT: 44,
  ESP: 50,
  AH: 51,
  ICMPV6: 58,
  NONE: 59,
  DSTOPTS: 60,
  SCTP: 132,
  MOBILITY: 135,
} as const;

/** RFC 768 */
export const UDP = { SPORT: 0, DPORT: 2, LENGTH: 4, CHECKSUM: 6, BYTES: 8 } as const;
/** RFC 9293 section 3.1 */
export const TCP = {
  SPORT: 0,
  DPORT: 2,
  SEQ: 4,
  ACK: 8,
  DATA_OFFSET: 12,
  FLAGS: 13,
  CHECKSUM: 16,
  MIN_BYTES: 20,
} as const;
export const TCP_FLAG = { FIN: 1, SYN: 2, RST: 4, PSH: 8, ACK: 16, URG: 32, ECE: 64, CWR: 128 } as const;
