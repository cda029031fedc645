/**
 * The host's side of devices that packets are copied to, whichever they are: the memory shared with the syncers, rounds taken and packed,
 * unpacked and told, and when to look again.
 */
import { Arena, arenaBytes } from "../packet/arena.js";
import { attachRegion, mapRegion, unmapRegion } from "../packet/memory.js";
import { AheadRound } from "./ahead-round.js";
import { Fault } from "./fault.js";
import { type AheadHandle, aheadBytes, type Forwarding, mostKept } from "./forward.js";
import { PackedRound } from "./packing.js";
import { DUMMY, HOST, type QueueShape, queueBytes, rowWords } from "./queue.js";
import { RowTaker } from "./rounds.js";
import { LONG_MS, type ServedNf, type SharedRegions } from "./server.js";

export interface RoundsOptions {
  readonly shape: QueueShape;
  /** Kernels in use, each once. */
  readonly programs: readonly string[];
  readonly nfs: readonly ServedNf[];
  readonly slots: number;
  /** Words of the tables' memory. */
  readonly tableWords: number;
  readonly kernelFolders: readonly string[];
  /** Rounds under way at once; undefined: {@link IN_FLIGHT}. */
  readonly inFlight?: number | undefined;
  /** Absent: every packet comes back to the host from every NF. */
  readonly forwarding?: Forwarding | undefined;
  /** For tests; see {@link Fault}. */
  readonly corruptAfter?: number | undefined;
}

/** Rounds under way at once: the host packs one while the device serves the other. More are not faster. */
export const IN_FLIGHT = 2;
/** Threads of a round at most: its packets take 16 MiB on the device. */
const MOST_ENTRIES = 8192;
/** ms without anything to do: as long it looks again at once; then after naps; then when it is woken. */
const EAGER_MS = 0.2;
const DROWSY_MS = 20;
const NAP_MS = 0.05;
const SLEEP_MS = LONG_MS;

/** Rows of a round at most. */
export function mostRows({ workgroups, workgroupSize, depth }: QueueShape): number {
  return Math.max(1, Math.min(workgroups * depth, Math.floor(MOST_ENTRIES / workgroupSize)));
}

/**
 * A row without packets, for a first launch. Drivers put off to it what takes seconds (PoCL compiles for the size of the workgroups, others
 * load the code): no packet is to wait for that, and a kernel that cannot run is found out at the start. So nobody registers before it is
 * complete.
 */
export function dummyRow(shape: QueueShape): Uint32Array<ArrayBuffer> {
  return new Uint32Array(rowWords(shape)).fill(DUMMY);
}

/** When a thread that serves rounds looks again. */
export class Pace {
  private busyAt = 0;

  /** @param now ms */
  busy(now: number): void {
    this.busyAt = now;
  }

  /** @returns ms; 0: at once */
  next(now: number, inFlight: boolean): number {
    const ms = now - this.busyAt;
    if (ms < EAGER_MS) return 0;
    return ms < DROWSY_MS || inFlight ? NAP_MS : SLEEP_MS;
  }
}

export class RoundHost {
  readonly regions: SharedRegions;
  /** Round number n is in the one numbered n modulo their number: as many as may be under way. */
  readonly rounds: readonly PackedRound[];
  /** Rounds started and ended. */
  started = 0;
  ended = 0;
  /** Of rounds that have ended. */
  bytesCopied = 0;
  /** ms that packing and unpacking have taken, and copies by the server, which adds them. */
  copyMs = 0;
  private readonly queueWords: Uint32Array;
  private readonly taker: RowTaker;
  private readonly fault: Fault | undefined;
  /** Of each round: where each row begins in the queue, and which queue it is of. */
  private readonly rows: readonly Uint32Array[];
  private readonly queues: readonly Uint16Array[];

  constructor(options: RoundsOptions) {
    const { shape, programs, nfs, slots, tableWords, forwarding, inFlight = IN_FLIGHT, corruptAfter } = options;
    const writes = new Uint8Array(programs.length);
    for (const nf of nfs) if (nf.writes === "packet") writes[nf.program] = 1;
    const regions = [arenaBytes(slots), queueBytes(shape), 4 * tableWords].map(mapRegion);
    const [arena, queue, tables] = regions.map(({ address, size, hugePages }) => ({ address, size, hugePages }));
    const ahead = forwarding && aheadMemory(slots, forwarding);
    this.regions = { arena: arena!, queue: queue!, tables: tables!, ...(ahead && { ahead }) };
    const packets = Arena.attach({ slots, region: arena!, owned: false });
    this.queueWords = new Uint32Array(attachRegion(queue!).buffer);
    this.taker = new RowTaker(queue!, shape);
    this.fault = corruptAfter === undefined ? undefined : new Fault(corruptAfter, packets, shape, writes);
    const most = mostRows(shape);
    const each = <T>(make: () => T): T[] => Array.from({ length: inFlight }, make);
    const { workgroupSize } = shape;
    const aheadRound = () => ahead && new AheadRound(packets, forwarding!, ahead, workgroupSize, most * workgroupSize);
    this.rounds = each(() => new PackedRound(packets, shape, most, writes, aheadRound()));
    // Rows of a round stay long where packets go on: were all that the queues hold in one, the device would wait while the host fills
    // the next, and the host while the device serves it. Where packets come back from each NF, rounds are shorter by themselves.
    const taken = ahead === undefined ? most : Math.ceil(most / inFlight);
    this.rows = each(() => new Uint32Array(taken));
    this.queues = each(() => new Uint16Array(taken));
  }

  register(): void {
    this.taker.register();
  }

  leave(): void {
    this.taker.leave();
  }

  /** The process ends: main has no time to send a message. */
  get stopRaised(): boolean {
    return Atomics.load(this.queueWords, HOST.STOP) !== 0;
  }

  /** Takes rows that are there for the next round, and packs them. @returns false where there are none */
  pack(): boolean {
    const at = this.started % this.rounds.length;
    const count = this.taker.take(this.rows[at]!, this.queues[at]!);
    if (count === 0) return false;
    const since = performance.now();
    this.rounds[at]!.pack(this.queueWords, this.rows[at]!, count);
    this.copyMs += performance.now() - since;
    return true;
  }

  /** The oldest round has been copied back: its packets get what the kernels have written, and its rows are done. */
  end(): void {
    const at = this.ended % this.rounds.length;
    const round = this.rounds[at]!;
    this.ended++;
    const since = performance.now();
    round.unpack();
    this.copyMs += performance.now() - since;
    this.bytesCopied += round.bytesCopied;
    this.fault?.served(this.queueWords, this.rows[at]!, round.count);
    this.taker.done(this.queues[at]!, round.count);
  }

  /** What the device has and has not given back, in words. */
  inFlight(): string {
    let rows = 0;
    let packets = 0;
    for (let n = this.ended; n < this.started; n++) {
      const round = this.rounds[n % this.rounds.length]!;
      rows += round.count;
      packets += round.packets;
    }
    return `${this.started - this.ended} rounds with ${rows} rows and ${packets} packets were in flight`;
  }

  free(): void {
    for (const round of this.rounds) round.free();
    const { arena, queue, tables, ahead } = this.regions;
    for (const region of [arena, queue, tables]) unmapRegion(region);
    if (ahead !== undefined) unmapRegion(ahead.region);
  }
}

function aheadMemory(slots: number, forwarding: Forwarding): AheadHandle {
  const { hops } = forwarding;
  const kept = mostKept(forwarding);
  const { address, size, hugePages } = mapRegion(aheadBytes(slots, hops, kept));
  return { region: { address, size, hugePages }, slots, hops, kept };
}
