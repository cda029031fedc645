/**
 * Link-layer header types of captures, and which of them wingbeat reads.
 * Source: the LINKTYPE_ registry of the tcpdump group.
 */

/** Bytes that stand before an IP packet of a raw-IP capture once it is a frame: {@link writeSyntheticEthernet}. */
export const SYNTHETIC_ETHERNET_BYTES = 14;

const ETHERNET_LINK = 1;
/** LINKTYPE_RAW; DLT_RAW as BSDs (12) and OpenBSD (14) number it; LINKTYPE_IPV4; LINKTYPE_IPV6. */
const RAW_IP_LINKS: readonly number[] = [101, 12, 14, 228, 229];

/** Names for the error message: the types people do meet. */
const NAMES: Readonly<Record<number, string>> = {
  0: "BSD loopback (NULL)",
  6: "IEEE 802.5 token ring",
  9: "PPP",
  10: "FDDI",
  50: "PPP in HDLC-like framing",
  51: "PPPoE",
  100: "RFC 1483 ATM",
  104: "Cisco HDLC",
  105: "IEEE 802.11",
  107: "frame relay",
  108: "OpenBSD loopback",
  113: "Linux cooked (SLL)",
  117: "OpenBSD pflog",
  119: "IEEE 802.11 with Prism header",
  122: "IP over Fibre Channel",
  127: "IEEE 802.11 with radiotap header",
  140: "MTP2",
  143: "DOCSIS",
  163: "IEEE 802.11 with AVS header",
  177: "LAPD",
  187: "Bluetooth HCI UART",
  189: "USB (Linux)",
  192: "PPI",
  195: "IEEE 802.15.4",
  197: "Endace ERF",
  201: "Bluetooth HCI with direction",
  220: "USB (Linux, mmapped)",
  227: "SocketCAN",
  230: "IEEE 802.15.4 without FCS",
  239: "NFLOG",
  249: "USBPcap",
  251: "Bluetooth LE link layer",
  253: "Linux netlink",
  276: "Linux cooked v2 (SLL2)",
};

export function linkTypeName(linkType: number): string {
  if (linkType >= 147 && linkType <= 162) return `reserved for private use (USER${linkType - 147})`;
  return NAMES[linkType] ?? "unknown";
}

/** Bytes of synthetic header a frame of this type gets: 0 for Ethernet, -1 for a type that is not supported. */
export function prefixOf(linkType: number): number {
  if (linkType === ETHERNET_LINK) return 0;
  return RAW_IP_LINKS.includes(linkType) ? SYNTHETIC_ETHERNET_BYTES : -1;
}

/**
 * Writes the Ethernet header that a packet of a raw-IP capture gets, at byte `at`: destination 02:00:00:00:00:02, source
 * 02:00:00:00:00:01 (locally administered), EtherType 0x86DD where the packet says version 6, else 0x0800. What is neither is for the
 * gate to judge.
 * @param version the IP version nibble
 */
export function writeSyntheticEthernet(u8: Uint8Array, at: number, version: number): void {
  for (let i = 0; i < 12; i++) u8[at + i] = 0;
  u8[at] = 2;
  u8[at + 5] = 2;
  u8[at + 6] = 2;
  u8[at + 11] = 1;
  if (version === 6) {
    u8[at + 12] = 0x86;
    u8[at + 13] = 0xdd;
  } else {
    u8[at + 12] = 0x08;
    u8[at + 13] = 0x00;
  }
}
