/**
 * What a port is. Ports move whole bursts between the outside and slots of the arena; each driver is one file beside this one.
 *
 * A frame received is written at DATA_OFFSET of its slot, and the port writes these metadata and no others:
 * off, len, wireLen, rxError, tsSec, tsNsec. The engine owns portIn, arrival and rxNs; the gate writes the rest.
 * A raw-IP capture gets a synthetic Ethernet header (see pcap reader), so that everything behind a port is Ethernet.
 */
import type { Arena } from "../packet/arena.js";
import type { StageTimes } from "./shared-queue/stages.js";

/** One of several times that the same input is played. */
export interface Round {
  readonly frames: number;
  /** Timestamps begin anew with each round, and do not say what came first across rounds. */
  readonly anew: boolean;
}

export interface RxPort {
  /**
   * Fills slots[0, count) with frames and returns how many it filled; the rest stay the caller's.
   * 0 means nothing now: when `done` is false, await `ready()` and call again.
   * @throws ConfigError where the capture turns out to be unreadable
   */
  receive(slots: Uint32Array, count: number): number;
  /**
   * Passes over up to `count` frames as if they had been received, and returns how many. Only ports whose frames lie in memory have it: it
   * costs next to nothing, whatever `count` is.
   */
  skip?(count: number): number;
  /** Of ports of network interfaces. */
  readonly live?: LiveRx;
  /** Plain data by which the other receiving threads of this process open their part of the port. */
  readonly share?: unknown;
  /** With PortContext.lends: plain data by which the thread that sends opens its part of the port; undefined where it needs none. */
  readonly lent?: unknown;
  /**
   * True where threads share one queue: `receive` has written arena.arrival, the number of the frame in its queue, from 1 on and without a
   * gap over all threads, so that their order can be restored.
   */
  readonly numbered?: boolean;
  /** Absent where the host sees what the port receives anyway, or where there is no host behind it. */
  readonly host?: HostAccess | undefined;
  /** Frames of a round, where what the port receives is played several times. */
  readonly round?: Round | undefined;
  /** No frame will ever come again. */
  readonly done: boolean;
  /** Resolves when receive may have something. */
  ready(): Promise<void>;
  /** Releases file handles and memory; idempotent. */
  close(): Promise<void>;
}

/** What a network interface adds to receiving: it never ends by itself, and it misses packets that nobody took in time. */
export interface LiveRx {
  /** Sockets to poll(2) for what comes in. */
  readonly descriptors: readonly number[];
  /**
   * Slots it wants before the first frame, for its receive ring; 0 where it copies. With such a ring, `receive` exchanges: of the slots
   * it is given it keeps as many as it returns, and those it returns are others, with frames in them.
   */
  readonly stock: number;
  /** Hands slots over for the ring. */
  supply(slots: Uint32Array, count: number): void;
  /** Nothing new comes in any more; what is there already can still be received. */
  stop(): void;
  /** After stop() and the last frame: hands slots of the ring back, as many as were supplied. @returns how many; 0: no more */
  withdraw(slots: Uint32Array): number;
  /** After stop(): false while other threads still take from the ring, or the kernel has counted packets that it has not handed out; absent: never. */
  readonly settled?: boolean;
  /** Brings the counters below up to date, and looks after the link; called some ten times a second. See PortContext.fail. */
  update(): void;
  /** Packets the kernel dropped because nobody had taken those before them. */
  readonly imissed: number;
  /** Packets the kernel could not hand over: longer than a slot. */
  readonly ierrors: number;
}

export interface TxPort {
  /** Sends slots[0, count) in this order, synchronously; the slots stay the caller's, who frees them, but for ports with `reclaim`. */
  transmit(slots: Uint32Array, count: number): void;
  /**
   * Of ports that send from the slots themselves: what `transmit` is given is theirs until this hands it back, sent or not.
   * @param force the run is ending and nothing moves: everything comes back, and what was not sent is an error
   * @returns how many; 0: none now
   */
  reclaim?(slots: Uint32Array, force: boolean): number;
  /** Of ports of network interfaces. */
  readonly live?: LiveTx;
  /** Hands what is buffered to the operating system, so that a file written so far is readable. */
  flush(): void;
  /** Flushes and closes; idempotent. */
  close(): Promise<void>;
}

/** What did not leave although it was handed to `transmit`: refused by kernel or driver, link down, ring full. */
export interface LiveTx {
  /** Looks after the link; called some ten times a second. See PortContext.fail. */
  update(): void;
  readonly oerrors: number;
  readonly oerrorBytes: number;
}

/**
 * How frames that a port has taken from the host's network stack get there after all (host/program.ts); plain data, good in every thread
 * as long as the port is open.
 */
export interface HostAccess {
  /** The network interface. */
  readonly name: string;
  readonly index: number;
  /** Descriptors of its XDP program and of the map with the frames. */
  readonly program: number;
  readonly map: number;
  /** What the template of a frame begins with. */
  readonly key: Uint8Array;
  /** Bytes to put in front of a frame, without which the port would receive it again. */
  readonly mark: Uint8Array | undefined;
}

/** What takes packets whose target is `kernel`. */
export interface HostPort {
  /**
   * Hands frames slots[0, count) to the host's network stack, as received by the ports they came in by (arena.portIn); synchronously: the
   * slots stay the caller's.
   * @returns how many were refused
   */
  inject(slots: Uint32Array, count: number): number;
  /** Idempotent. */
  close(): void;
}

/**
 * How several threads share what a port receives (papers: Asada et al., "Roadblocks of I/O Parallelization", Figure 2).
 *
 *   default      a queue has one thread; several queues are dealt to the threads
 *   arbitration  the threads take turns at one queue's ring by compare-and-swap of its index
 *   range        bits of the ring's index say which thread an entry is of
 *   parent       the same, and one thread more does what touches the kernel's side of the ring
 */
export const RX_PATTERNS = ["default", "arbitration", "range", "parent"] as const;
export type RxPattern = (typeof RX_PATTERNS)[number];

/** Which of several receiving threads opens a port. */
export interface Receiver {
  /** From 0; the first opens a port before the others do. */
  readonly index: number;
  readonly count: number;
  readonly pattern: RxPattern;
  /** {@link RxPort.share} of the first receiver's port; undefined for the first itself. */
  readonly share: unknown;
}

/** What a driver may know when it opens. */
export interface PortContext {
  readonly name: string;
  readonly arena: Arena;
  /** Absent: there is one receiving thread. */
  readonly receiver?: Receiver | undefined;
  /** Where the stages of receiving are to be timed (`--rx-pattern`): of all ports that this thread receives from. */
  readonly stages?: StageTimes | undefined;
  /** Threads that hand packets to the host's own network stack; absent: none does. */
  readonly hostThreads?: number | undefined;
  /** True where the port receives and sends, both in this thread; then openTx gives what openRx has opened. */
  readonly both?: boolean;
  /** True for the one of the receiving threads by whose part of the port another thread sends. */
  readonly lends?: boolean;
  /** To send by a port that another thread receives from: {@link RxPort.lent} of that thread. */
  readonly lent?: unknown;
  warn(line: string): void;
  /**
   * What has failed for good while the run goes on: nothing more is received, what is under way leaves, and the run is a failed one, with its
   * ledger. Absent: thrown instead.
   */
  fail?(line: string): void;
}
