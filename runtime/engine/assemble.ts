/** Puts the parts of one thread together: what its role in the topology needs, and nothing else. */
import { build, type Histogram } from "hdr-histogram-js";
import type { Nf } from "../chain/nf.js";
import type { EgressDigest } from "../measure/digest.js";
import type { TxPort } from "../nic/port.js";
import type { Arena } from "../packet/arena.js";
import { SlotPool } from "../packet/pool.js";
import { RingConsumer, RingProducer } from "../packet/ring.js";
import type { CoreParts } from "./core.js";
import { counterBlock, counterLayout } from "./counters.js";
import { Egress } from "./egress.js";
import { Ingress, type NumberedRxPort } from "./ingress.js";
import type { Plan } from "./plan.js";
import { Processor } from "./processor.js";
import type { Topology } from "./topology.js";

/** One minute: a packet later than that counts as that late. */
const LATENCY_LIMIT_NS = 60e9;

/** What a thread has opened. */
export interface ThreadParts {
  readonly thread: number;
  readonly plan: Plan;
  readonly topology: Topology;
  readonly arena: Arena;
  readonly control: Int32Array;
  readonly clock: () => number;
  readonly counters: SharedArrayBuffer;
  /** Memory of the rings, in the order of topology.rings. */
  readonly rings: readonly SharedArrayBuffer[];
  /** By NF number; undefined where another thread owns it. */
  readonly nfs: readonly (Nf | undefined)[];
  readonly rxPorts: readonly NumberedRxPort[];
  /** By port number. */
  readonly txPorts: readonly (TxPort | undefined)[];
  readonly digest: EgressDigest | undefined;
}

export function assemble(parts: ThreadParts): CoreParts & { readonly latency: Histogram } {
  const { thread, plan, topology, arena, control, clock, nfs, rxPorts, txPorts } = parts;
  const role = topology.threads[thread]!;
  const layout = counterLayout(plan);
  const counters = counterBlock(parts.counters, layout, thread);
  const latency = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: LATENCY_LIMIT_NS,
    numberOfSignificantValueDigits: 3,
    autoResize: true,
  });
  const pool = role.rx ? new SlotPool(0, arena.slots) : undefined;
  const ringTo = <T>(make: (memory: SharedArrayBuffer) => T, mine: 0 | 1): (T | undefined)[] =>
    topology.threads.map((_, other) => {
      const i = topology.rings.findIndex((r) => r[mine] === thread && r[1 - mine] === other);
      return i < 0 ? undefined : make(parts.rings[i]!);
    });
  return {
    thread,
    plan,
    topology,
    arena,
    control,
    clock,
    pool,
    latency,
    processor: new Processor(plan, arena, nfs, layout, counters),
    ingress: pool && new Ingress(plan, arena, rxPorts, pool, layout, counters, control, clock),
    egress: role.tx ? new Egress(plan, arena, txPorts, layout, counters, latency, parts.digest) : undefined,
    outgoing: ringTo((memory) => new RingProducer(memory, arena.slots), 0),
    incoming: ringTo((memory) => new RingConsumer(memory, arena.slots), 1),
  };
}
