/** The whole data path of one core as a subject: rx from memory, gate, classifier, policy, NFs, ledger, latency, tx to nowhere. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { LoadedChain } from "../runtime/chain/load.js";
import type { Nf } from "../runtime/chain/nf.js";
import { assemble } from "../runtime/engine/assemble.js";
import { forAll } from "../runtime/engine/by-role.js";
import { clockSince, takeEpoch } from "../runtime/engine/clock.js";
import { controlMemory } from "../runtime/engine/control.js";
import { Core } from "../runtime/engine/core.js";
import { counterLayout, counterMemory } from "../runtime/engine/counters.js";
import { makePlan, type PlanOptions } from "../runtime/engine/plan.js";
import { makeTopology } from "../runtime/engine/topology.js";
import { openRx, openTx } from "../runtime/nic/drivers.js";
import type { RxPort, TxPort } from "../runtime/nic/port.js";
import { Arena } from "../runtime/packet/arena.js";
import type { FrameSet } from "./frames.js";
import type { BenchOptions, Subject } from "./harness.js";

const TIMED_MS = 60;
/** As `run` has it. */
const SLOTS = 4096;

/** Writes frames as a classic nanosecond capture. */
export function writeCapture(file: string, set: FrameSet): void {
  const head = Buffer.alloc(24);
  head.writeUInt32LE(0xa1b23c4d, 0);
  head.writeUInt16LE(2, 4);
  head.writeUInt16LE(4, 6);
  head.writeUInt32LE(65535, 16);
  head.writeUInt32LE(1, 20);
  const records = set.frames.flatMap((frame, i) => {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(i, 0);
    record.writeUInt32LE(frame.length, 8);
    record.writeUInt32LE(frame.length, 12);
    return [record, frame];
  });
  writeFileSync(file, Buffer.concat([head, ...records]));
}

/**
 * One core, run-to-completion, from a port to another.
 * @param more options of the run that differ from those of `run`
 */
export function engineCore(
  chain: LoadedChain,
  arena: Arena,
  { rx, tx }: { readonly rx: RxPort; readonly tx: TxPort },
  { warn }: Pick<BenchOptions, "warn">,
  more: Partial<PlanOptions> = {},
): { readonly core: Core; readonly nfs: readonly Nf[] } {
  const plan = makePlan(chain, arena.handle, {
    order: "flow",
    batch: 64,
    loop: 0,
    duration: 0,
    rate: undefined,
    seed: undefined,
    digest: false,
    verifyL4: false,
    portable: false,
    wait: forAll("spin"),
    ...more,
  });
  const topology = makeTopology(plan, "flow", { io: 1, nf: 0, sync: 0 }, warn);
  const nfs = plan.nfs.map(({ name: nf, loaded }, i) =>
    chain.nfs[i]!.module.create(loaded, { name: nf, arena, seed: undefined, portable: false, warn }),
  );
  const parts = assemble({
    thread: 0,
    plan,
    topology,
    arena,
    control: new Int32Array(controlMemory(1)),
    clock: clockSince(takeEpoch()),
    counters: counterMemory(counterLayout(plan), 1),
    rings: [],
    nfs,
    rxPorts: [{ port: 0, rx }],
    txPorts: [undefined, tx],
    digest: undefined,
  });
  return { core: new Core(parts), nfs };
}

export class EngineSubject implements Subject {
  readonly role = "wingbeat";
  readonly engine = "run-to-completion, batch 64";

  private constructor(
    readonly name: string,
    private readonly core: Core,
    private readonly arena: Arena,
    private readonly nfs: readonly Nf[],
  ) {}

  /** @param more options of the run that differ from those of `run` */
  static async open(
    name: string,
    chain: LoadedChain,
    frames: FrameSet,
    options: BenchOptions,
    more: Partial<PlanOptions> = {},
  ): Promise<EngineSubject> {
    const arena = Arena.create(SLOTS);
    const { warn } = options;
    const file = join(options.scratch, "engine.pcap");
    writeCapture(file, frames);
    const rx = await openRx({ driver: "pcap", file }, { name: "in", arena, warn }, { loop: 0 });
    const tx = await openTx({ driver: "null" }, { name: "out", arena, warn });
    const { core, nfs } = engineCore(chain, arena, { rx, tx }, options, more);
    return new EngineSubject(name, core, arena, nfs);
  }

  async repeat(ms = TIMED_MS): Promise<number> {
    const { core } = this;
    let packets = 0;
    const start = performance.now();
    let spent = 0;
    while (spent < ms) {
      for (let i = 0; i < 64; i++) packets += core.step();
      spent = performance.now() - start;
    }
    return (spent * 1e6) / packets;
  }

  async close(): Promise<void> {
    for (const nf of this.nfs) nf.close?.();
    this.arena.free();
  }
}

/** Several subjects one after the other; a packet's time is the sum of theirs. */
export class SumSubject implements Subject {
  readonly role = "peer";

  constructor(
    readonly name: string,
    readonly engine: string,
    private readonly parts: readonly Subject[],
  ) {}

  async repeat(): Promise<number> {
    let sum = 0;
    for (const part of this.parts) sum += await part.repeat();
    return sum;
  }

  async close(): Promise<void> {
    for (const part of this.parts) await part.close();
  }
}
