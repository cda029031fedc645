/**
 * What a port is. Ports move whole bursts between the outside and slots of the arena; each driver is one file beside this one.
 *
 * A frame received is written at DATA_OFFSET of its slot, and the port writes these metadata and no others:
 * off, len, wireLen, rxError, tsSec, tsNsec. The engine owns portIn, arrival and rxNs; the gate writes the rest.
 * A raw-IP capture gets a synthetic Ethernet header (see pcap reader), so that everything behind a port is Ethernet.
 */
import type { Arena } from "../packet/arena.js";

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
  /** Frames of a round, where what the port receives is played several times. */
  readonly round?: Round | undefined;
  /** No frame will ever come again. */
  readonly done: boolean;
  /** Resolves when receive may have something. */
  ready(): Promise<void>;
  /** Releases file handles and memory; idempotent. */
  close(): Promise<void>;
}

export interface TxPort {
  /** Sends slots[0, count) in this order, synchronously; the slots stay the caller's, who frees them. */
  transmit(slots: Uint32Array, count: number): void;
  /** Hands what is buffered to the operating system, so that a file written so far is readable. */
  flush(): void;
  /** Flushes and closes; idempotent. */
  close(): Promise<void>;
}

/** What a driver may know when it opens. */
export interface PortContext {
  readonly name: string;
  readonly arena: Arena;
  warn(line: string): void;
}
