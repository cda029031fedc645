/** What a thread that runs ipsec needs: no schema and no reader of SA files. */
import type { CreateContext, Nf, Offload } from "../../runtime/chain/nf.js";
import { FLAG, PARAM_WORDS } from "../../runtime/packet/arena.js";
import { type Batch, MAX_BATCH } from "../../runtime/packet/batch.js";
import { IPPROTO } from "../../runtime/packet/protocols.js";
import type { EspCrypto } from "./crypto/esp-crypto.js";
import { openCrypto } from "./crypto/open.js";
import { Inbound, PENDING } from "./inbound.js";
import { RandomIvs, SeededIvs } from "./iv.js";
import { OP, PARAM } from "./layout.js";
import { KernelOffload } from "./offload.js";
import { NOT_ASKED, Outbound } from "./outbound.js";
import type { SaTable } from "./sas.js";
import { SaSelection } from "./selection.js";

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

export const create = (loaded: IpsecLoaded, context: CreateContext): Nf => new Ipsec(loaded, context);
