/**
 * Several captures merged by their timestamps, as mergecap would, so that arrival order is a property of the input and not of batch size or
 * timing. Equal timestamps go by port number. Where a capture is played several times its timestamps begin anew, so rounds are merged one
 * after the other: else the capture with the earlier ones would be played to its end first, or for ever, and the others never.
 */
import type { RxPort } from "../nic/port.js";
import type { Arena } from "../packet/arena.js";
import type { SlotPool } from "../packet/pool.js";
import type { BitPacer } from "./pacer.js";

export interface NumberedRxPort {
  readonly port: number;
  readonly rx: RxPort;
}

/** Packets of one port that were read and wait for their turn. */
interface Lookahead extends NumberedRxPort {
  readonly slots: Uint32Array;
  head: number;
  count: number;
  /** Number of the round that its next packet is of, and packets of that round still to come. */
  round: number;
  left: number;
  /** Of a round; {@link ENDLESS} where rounds do not matter. */
  readonly frames: number;
}

const LOOKAHEAD = 64;
const ENDLESS = Number.POSITIVE_INFINITY;

export class Merge {
  private readonly ahead: readonly Lookahead[];

  /** @param read fills slots from a port; returns how many */
  constructor(
    private readonly arena: Arena,
    ports: readonly NumberedRxPort[],
    private readonly pool: SlotPool,
    private readonly read: (rx: RxPort, slots: Uint32Array, want: number) => number,
  ) {
    // A quarter of the slots at most waits here; the rest is for packets under way.
    const room = Math.max(1, Math.min(LOOKAHEAD, Math.floor(pool.size / 4 / ports.length)));
    const rounds = ports.some(({ rx }) => rx.round?.anew);
    this.ahead = ports.map((port) => {
      const frames = rounds ? (port.rx.round?.frames ?? ENDLESS) : ENDLESS;
      return { ...port, slots: new Uint32Array(room), head: 0, count: 0, round: 0, left: frames, frames };
    });
  }

  /** Packets that were read and not taken yet. */
  get held(): number {
    let held = 0;
    for (const port of this.ahead) held += port.count - port.head;
    return held;
  }

  /** Packets that were read but not taken go back unread. */
  stop(): void {
    for (const port of this.ahead) {
      this.pool.put(port.slots, port.head, port.count - port.head);
      port.head = port.count;
    }
  }

  /**
   * Takes the earliest packets of all ports that are due by `now`, and writes where they came in and when they were due; stops where a port
   * that may still have an earlier one has none at hand.
   */
  take(slots: Uint32Array, want: number, now: number, bits: BitPacer | undefined): number {
    const { tsSec, tsNsec, portIn, rxNs, len } = this.arena;
    let count = 0;
    while (count < want) {
      const dueNs = bits === undefined ? now : bits.dueNs;
      if (dueNs > now) return count;
      let first: Lookahead | undefined;
      for (const port of this.ahead) {
        if (port.head === port.count && !this.refill(port)) {
          if (!port.rx.done) return count;
          continue;
        }
        if (first === undefined) {
          first = port;
          continue;
        }
        if (port.round !== first.round) {
          if (port.round < first.round) first = port;
          continue;
        }
        const a = port.slots[port.head]!;
        const b = first.slots[first.head]!;
        if (tsSec[a]! < tsSec[b]! || (tsSec[a] === tsSec[b] && tsNsec[a]! < tsNsec[b]!)) first = port;
      }
      if (first === undefined) return count;
      const slot = first.slots[first.head++]!;
      if (--first.left === 0) {
        first.round++;
        first.left = first.frames;
      }
      portIn[slot] = first.port;
      rxNs[slot] = dueNs;
      bits?.take(len[slot]!);
      slots[count++] = slot;
    }
    return count;
  }

  private refill(port: Lookahead): boolean {
    if (port.rx.done) return false;
    port.head = 0;
    port.count = this.read(port.rx, port.slots, port.slots.length);
    return port.count > 0;
  }
}
