/**
 * An NF of a user at work. Whatever goes wrong in it stops the run and loses no packet: it is told once, with file and line, the run
 * receives no more, and the packets of the batch at hand and all that come after are drops with the outcome `error`, so that the
 * ledger balances. It costs a pass over the outcomes of each batch.
 */
import { RunError } from "../errors.js";
import type { Batch } from "../packet/batch.js";
import type { CreateContext, Nf, Offload } from "./nf.js";
import { placeOfFunction, userError } from "./user-source.js";

/** In the outcomes before the NF writes them; no outcome has this code. */
const UNWRITTEN = 0xff;

/**
 * Creates an NF of a user's and watches it.
 * @param codes outcomes it has; the next code is the one of packets it failed on
 * @throws RunError where create() throws or returns no NF
 */
export function guardNf(file: string, create: () => unknown, codes: number, context: CreateContext): Nf {
  let nf: unknown;
  try {
    nf = create();
  } catch (error) {
    throw userError(file, "create", error);
  }
  const wrong = wrongNf(nf, context);
  if (wrong !== undefined) throw new RunError(file, `what create() returned is not an NF at work: ${wrong}`);
  return new GuardedNf(file, nf as Nf, codes, context);
}

function wrongNf(nf: unknown, { place }: CreateContext): string | undefined {
  if (nf === null || typeof nf !== "object") return `found ${typeof nf}, expected an object`;
  if (nf instanceof Promise) return "found a promise; create() must not be async (do what waits in load())";
  const given = nf as Record<string, unknown>;
  if (typeof given["process"] !== "function") return `process: found ${typeof given["process"]}, expected a function`;
  if (!["string", "undefined"].includes(typeof given["engine"])) return "engine: expected a string";
  if (place === "gpu" && typeof given["offload"] !== "object") return "offload: missing, and it is placed on gpu";
  for (const key of ["stats", "flush", "close"]) {
    if (!["function", "undefined"].includes(typeof given[key]))
      return `${key}: found ${typeof given[key]}, expected a function`;
  }
  return undefined;
}

class GuardedNf implements Nf {
  readonly engine: string;
  readonly offload?: Offload;
  private failed = false;

  constructor(
    private readonly file: string,
    private readonly nf: Nf,
    /** Outcomes it has, and the code of packets it failed on. */
    private readonly codes: number,
    private readonly context: CreateContext,
  ) {
    this.engine = nf.engine ?? "javascript";
    const { offload } = nf;
    if (offload !== undefined) {
      this.offload = {
        prepare: (batch, wanted) => this.prepare(offload, batch, wanted),
        finish: (batch) => this.finish(offload, batch),
      };
    }
  }

  process(batch: Batch): void {
    const { count, slots, outcomes } = batch;
    if (this.failed) {
      outcomes.fill(this.codes, 0, count);
      return;
    }
    outcomes.fill(UNWRITTEN, 0, count);
    try {
      const answer: unknown = this.nf.process(batch);
      this.check(answer, batch, count, slots);
    } catch (error) {
      this.giveUp("process", error);
      // A NF may have changed these before it failed.
      batch.slots = slots;
      batch.count = count;
      outcomes.fill(this.codes, 0, count);
    }
  }

  private check(answer: unknown, batch: Batch, count: number, slots: Uint32Array): void {
    const { outcomes } = batch;
    const { codes } = this;
    const problem = (text: string) => new RunError(placeOfFunction(this.file, this.nf.process), `process() ${text}`);
    if (answer instanceof Promise) {
      answer.catch(() => {});
      throw problem("is async: a packet cannot wait; do what waits in load()");
    }
    if (batch.count !== count || batch.slots !== slots) throw problem("changed batch.count or batch.slots");
    for (let i = 0; i < count; i++) {
      const outcome = outcomes[i]!;
      if (outcome < codes) continue;
      const found = outcome === UNWRITTEN ? "wrote no outcome" : `wrote outcome ${outcome}`;
      throw problem(`${found} for packet ${i} of ${count}; outcomes are 0 to ${codes - 1}`);
    }
  }

  private prepare(offload: Offload, batch: Batch, wanted: Uint8Array): number {
    const { count, outcomes } = batch;
    if (!this.failed) {
      try {
        return offload.prepare(batch, wanted);
      } catch (error) {
        this.giveUp("prepare", error);
      }
    }
    wanted.fill(0, 0, count);
    outcomes.fill(this.codes, 0, count);
    return 0;
  }

  /** Packets that failed in prepare come by here, too; what prepare wrote for them is final. */
  private finish(offload: Offload, batch: Batch): void {
    const { count, outcomes } = batch;
    if (!this.failed) {
      try {
        offload.finish(batch);
        return;
      } catch (error) {
        this.giveUp("finish", error);
      }
    }
    outcomes.fill(this.codes, 0, count);
  }

  private giveUp(during: string, error: unknown): void {
    this.failed = true;
    const failure = userError(this.file, during, error);
    if (this.context.fail === undefined) throw failure;
    this.context.fail(failure.message);
  }

  stats(): Record<string, unknown> {
    try {
      const stats = this.nf.stats?.() ?? {};
      structuredClone(stats);
      return stats;
    } catch (error) {
      this.giveUp("stats", error);
      return {};
    }
  }

  flush(): void {
    try {
      this.nf.flush?.();
    } catch (error) {
      this.giveUp("flush", error);
    }
  }

  close(): void {
    try {
      this.nf.close?.();
    } catch (error) {
      this.giveUp("close", error);
    }
  }
}
