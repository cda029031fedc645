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
import type { CreateContext, LoadContext, Nf, NfModule, Offload } from "../../runtime/chain/nf.js";
import { FLAG, PARAM_WORDS } from "../../runtime/packet/arena.js";
import { type Batch, MAX_BATCH } from "../../runtime/packet/batch.js";
import { IPPROTO } from "../../runtime/packet/protocols.js";
import type { EspCrypto } from "./crypto/esp-crypto.js";
import { openCrypto } from "./crypto/open.js";
import { Inbound, PENDING } from "./inbound.js";
import { RandomIvs, SeededIvs } from "./iv.js";
import { ESP, OP, PARAM, TUNNEL_BYTES } from "./layout.js";
import { forward, KernelOffload } from "./offload.js";
import { NOT_ASKED, Outbound } from "./outbound.js";
import { OUTCOMES } from "./outcomes.js";
import { loadSas, type SaTable } from "./sas.js";
import { SaSelection } from "./selection.js";

const configSchema = z.strictObject({ sas: z.string().min(1).describe("SA file, relative to the chain file") });
export type IpsecConfig = z.infer<typeof configSchema>;

export interface IpsecLoaded extends SaTable {
  readonly ports: readonly string[];
  /** Longest outer packet in bytes. */
  readonly mtu: number;
}

// Imported bindings are looked up at each use by V8 11; constants of this module are part of the compiled code.
const PARAMS = PARAM_WORDS;
const TASK = PARAM.TASK;
const OP_NONE = OP.NONE;
const IPV4_FLAG = FLAG.IPV4;
const PROTO_ESP = IPPROTO.ESP;
/** Not inbound: an outbound SA may select it. No outcome has this code. */
const CANDIDATE = 0xfe;

/** SAs whose counters the result lists one by one. */
const MAX_LISTED = 32;

export class Ipsec implements Nf {
  readonly engine: string;
  readonly offload?: Offload;
  private readonly crypto: EspCrypto;
  private readonly outbound: Outbound;
  private readonly inbound: Inbound;
  private readonly selection: SaSelection;
  /** For each packet of the batch: number of the outbound SA that selects it, their count, or NOT_ASKED. */
  private readonly answers = new Int32Array(MAX_BATCH);
  private readonly outCount: number;
  private readonly inCount: number;

  constructor(
    loaded: IpsecLoaded,
    private readonly context: CreateContext,
  ) {
    const { arena, seed } = context;
    const out = loaded.sas.filter((sa) => sa.direction === "out");
    const incoming = loaded.sas.filter((sa) => sa.direction === "in");
    this.outCount = out.length;
    this.inCount = incoming.length;
    this.crypto = openCrypto(context, loaded.keys);
    const onGpu = context.place === "gpu";
    this.engine = onGpu ? "aes-sha1 kernel" : this.crypto.engine;
    if (onGpu) this.offload = new KernelOffload(arena, this);
    const ivs = seed === undefined ? new RandomIvs() : new SeededIvs(seed, arena);
    const selectors = out.map((sa) => sa.selector);
    this.selection = new SaSelection(selectors, loaded.ports, arena);
    this.outbound = new Outbound(arena, out, loaded.mtu, ivs);
    this.inbound = new Inbound(arena, incoming, this.crypto, onGpu ? OP.OPEN : OP.VERIFY);
  }

  process(batch: Batch): void {
    const work = this.prepare(batch);
    if (work === 0) return;
    this.transform(batch);
    this.finish(batch);
  }

  /** In arrival order. Returns how many packets transform and finish have anything to do for. */
  prepare(batch: Batch): number {
    if (this.inCount === 0) {
      this.selection.find(batch.slots, batch.count, this.answers);
      return this.outbound.protect(batch, this.answers);
    }
    const pending = this.prepareInbound(batch);
    if (pending === batch.count) return pending;
    const { outcomes, count } = batch;
    this.selection.find(batch.slots, count, this.answers);
    for (let i = 0; i < count; i++) if (outcomes[i] !== CANDIDATE) this.answers[i] = NOT_ASKED;
    return pending + this.outbound.protect(batch, this.answers);
  }

  /** ESP packets that end here. ESP for others is payload like any other, and may enter a tunnel. */
  private prepareInbound(batch: Batch): number {
    const { slots, outcomes, count } = batch;
    const { flags, proto, params } = this.context.arena;
    let pending = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      let outcome = CANDIDATE;
      if (proto[slot] === PROTO_ESP && (flags[slot]! & IPV4_FLAG) !== 0 && this.inbound.isOurs(slot)) {
        params[slot * PARAMS + TASK] = OP_NONE;
        outcome = this.inbound.prepare(slot);
        if (outcome === PENDING) pending++;
      }
      outcomes[i] = outcome;
    }
    return pending;
  }

  /** Pure: packet bytes, params and keys in; ciphertext, ICVs and verdicts out. What a GPU device replaces. */
  transform(batch: Batch): void {
    this.crypto.transform(batch.slots, batch.count);
  }

  /** In arrival order. Outbound packets were complete with transform; inbound ones are decided here. */
  finish(batch: Batch): void {
    if (this.inCount > 0) this.inbound.finish(batch);
  }

  stats(): Record<string, unknown> {
    const listed = this.outCount + this.inCount <= MAX_LISTED;
    const each = <T>(count: number, statsOf: (i: number) => T): T[] =>
      Array.from({ length: count }, (_, i) => statsOf(i));
    return {
      sas: {
        out: this.outCount,
        in: this.inCount,
        ...(listed && {
          each: [
            ...each(this.outCount, (i) => this.outbound.statsOf(i)),
            ...each(this.inCount, (i) => this.inbound.statsOf(i)),
          ],
        }),
      },
    };
  }

  close(): void {
    this.crypto.close();
  }
}

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
  create: (loaded, context) => new Ipsec(loaded, context),
};
