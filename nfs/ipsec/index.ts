/**
 * ipsec: ESP in tunnel mode, AES-128-CBC with HMAC-SHA1-96, outbound and inbound in one NF.
 *
 * Purpose
 *   An IPv4 packet with protocol ESP whose destination is the `dst` of an inbound SA is inbound: its ICV is checked, its
 *   number compared with the anti-replay window, and what is inside comes out. Every other IP packet takes the first
 *   outbound SA whose selector matches. IPv4 and IPv6 inside, IPv4 outside; the Ethernet header with its VLAN tags stays
 *   in front.
 *
 * Outcomes
 *   protected      outbound: wrapped
 *   opened         inbound: unwrapped; gate and classifier see it again
 *   bypass         not IP, or no outbound SA selects it
 *   no-sa          inbound, but no SA has this (destination, SPI)
 *   bad-icv        inbound, not authentic
 *   replayed       inbound, number already seen or left of the window (0 too); decided before bad-icv
 *   malformed      inbound: fragment, or lengths that cannot be; after decryption bad padding, neither IPv4 nor IPv6
 *                  inside (dummy packets, next header 59, are discarded this way too), inner length beyond the packet,
 *                  or congestion that cannot be told to the inner transport (inner Not-ECT, outer CE: RFC 6040 section
 *                  4.2 wants it dropped). The window has moved in these cases: the packet was authentic
 *   too-big        outbound: the outer packet is longer than the smallest `mtu` of the ports that transmit (which of them
 *                  it leaves by is not known yet), or does not fit in the slot; takes no sequence number. The sender is told
 *                  by ICMP how long a packet may be (RFC 4301 section 8.2), see OutcomeSpec.icmp
 *   seq-exhausted  outbound: the SA's last sequence number is used; it never cycles
 *   After the last seven the packet is as it came.
 *
 * Configuration
 *   sas   path of the SA file, relative to the chain file. Keys of an SA:
 *     name            unique
 *     direction       "out" or "in"
 *     spi             1 to 4294967295 (RFC 4303 section 2.1 keeps 1 to 255 for IANA; they are taken nevertheless)
 *     src, dst        outer IPv4 addresses
 *     cipher          "aes-128-cbc";  cipher_key: 32 hex digits
 *     auth            "sha1-hmac";    auth_key: 40 hex digits
 *     esn             true: 64-bit extended sequence numbers; default false
 *     seq_start       first number sent, or first number not yet received; default 1. Above 2^53 as a string of digits
 *     selector        out: src, dst, proto, sport, dport, port, vlan, dscp, fragment as in the chain's types; without it
 *                     every packet
 *     replay_window   in: packets, a multiple of 32 up to 4096, 0 is off; default 64
 *
 * Example
 *   {"sas": [{"name": "a", "direction": "out", "spi": 256, "src": "172.16.1.5", "dst": "172.16.2.5", "cipher": "aes-128-cbc",
 *     "cipher_key": "000102030405060708090a0b0c0d0e0f", "auth": "sha1-hmac",
 *     "auth_key": "000102030405060708090a0b0c0d0e0f10111213", "selector": {"dst": "198.18.0.0/15"}}]}
 *
 * Limits
 *   Tunnel mode only; no UDP encapsulation (RFC 3948); outer IPv4 only; keys are static, SAs do not expire. DF of the
 *   outer header is copied from IPv4 and set for IPv6; ICMP "too big" messages about outer packets, from routers on the way, are not
 *   looked at. Inner TTL is left to the router.
 *   Sequence state begins anew with each run: for anything but experiments give a fresh key or `seq_start`.
 *
 * Sources
 *   RFC 4301, 4303, 3602 (AES-CBC), 2404 (HMAC-SHA1-96), 6040 (ECN), 6479 (window)
 */
import { z } from "zod";
import type { LoadContext, NfModule } from "../../runtime/chain/nf.js";
import { create, type Ipsec, type IpsecLoaded } from "./create.js";
import { ESP, TUNNEL_BYTES } from "./layout.js";
import { forward } from "./offload.js";
import { OUTCOMES } from "./outcomes.js";
import { loadSas } from "./sas.js";

const configSchema = z.strictObject({ sas: z.string().min(1).describe("SA file, relative to the chain file") });

export type { Ipsec, IpsecLoaded };
export type IpsecConfig = z.infer<typeof configSchema>;

export const nf: NfModule<IpsecConfig, IpsecLoaded> = {
  type: "ipsec",
  outcomes: OUTCOMES,
  schema: configSchema,
  gpu: { program: "ipsec", writes: "packet", tables: ({ keys }) => keys, forward },
  load(config: IpsecConfig, context: LoadContext): IpsecLoaded {
    const table = loadSas(context.resolve(config.sas), context.ports);
    const mtu = Math.min(...context.txPorts.map((port) => context.mtu[port]!));
    return { ...table, ports: [...context.ports], mtu };
  },
  /** Padded to whole blocks, with headers, IV and ICV around it, it is no longer than the outer packet may be. */
  largest: ({ mtu }) => {
    const cipher = mtu - TUNNEL_BYTES - ESP.ICV_BYTES;
    return Math.max(0, cipher - (cipher % ESP.BLOCK_BYTES) - ESP.TRAILER_BYTES);
  },
  /** Without SAs of a direction nothing is ever protected, or opened. */
  possible({ sas }) {
    const has = (direction: "in" | "out") => sas.some((sa) => sa.direction === direction);
    return OUTCOMES.map((o) => o.name).filter((name) =>
      name === "protected" ? has("out") : name !== "opened" || has("in"),
    );
  },
  create,
};
