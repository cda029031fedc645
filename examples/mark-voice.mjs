// @ts-check
/** An NF of one's own: marks RTP (RFC 3550) in IPv4 for expedited forwarding (RFC 3246). See README.md, "An NF of your own". */
import { kernelNf, SLOT_SIZE, setIpv4Checksum, z } from "wingbeat/nf";

const VOICE = 1;

export const nf = kernelNf({
  type: "mark-voice",
  outcomes: [{ name: "other" }, { name: "voice" }],
  schema: z.strictObject({
    ports: z.tuple([z.int().min(1), z.int().max(65535)]).describe("UDP destination ports, first and last"),
    dscp: z.int().min(0).max(63).default(46),
  }),
  // What the kernel sees: of the IP packet at most so many bytes, 0 behind its end.
  bytes: 76,
  parameters: ({ ports, dscp }) => [ports[0], ports[1], dscp],

  // Runs on the CPU, and on gpujs devices. Its answer is outcome + 32 * value.
  kernel(packet, length, first, last, dscp) {
    const header = (packet[0] & 15) * 4;
    if (packet[0] >> 4 !== 4 || packet[9] !== 17) return 0;
    // No first byte of an RTP header, or a fragment: DF is the only bit that may be set.
    if (length < header + 9 || (packet[6] & 191) !== 0 || packet[7] !== 0) return 0;
    const port = packet[header + 2] * 256 + packet[header + 3];
    if (port < first || port > last || packet[header + 8] >> 6 !== 2) return 0;
    return 1 + 32 * dscp;
  },

  // On the CPU, in arrival order: what the value does to the packet.
  finish(arena, slot, value, outcome) {
    if (outcome !== VOICE) return;
    const tos = slot * SLOT_SIZE + arena.l3[slot] + 1;
    arena.u8[tos] = (value << 2) | (arena.u8[tos] & 3); // the ECN bits stay
    setIpv4Checksum(arena, slot);
  },
});
