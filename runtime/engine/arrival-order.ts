/** Counts packets that leave by a port after one that has arrived later. */
import { ownCode } from "../native/own-code.js";
import type { Arena } from "../packet/arena.js";
import type { Topology } from "./topology.js";

/** Receivers, and ports, have numbers of 8 bits. */
const STREAMS = 256;

/** By slot, whose number a packet has: of the receiver, or of the port; undefined where all can be compared. */
export function streamsOf(arena: Pick<Arena, "home" | "portIn">, numbers: Topology["numbers"]): Uint8Array | undefined {
  if (numbers === "all") return undefined;
  return numbers === "receiver" ? arena.home : arena.portIn;
}

/** See {@link ArrivalOrder.left}; where all numbers can be compared. */
type Left = (slots: Uint32Array, count: number, port: number) => number;

/** @param last by port: the highest number so far */
function makeLeft(arena: Pick<Arena, "arrival">, last: Float64Array): Left {
  const { arrival } = arena;
  const highest = last;
  return (slots, count, port) => {
    let most = highest[port]!;
    let late = 0;
    for (let i = 0; i < count; i++) {
      const number = arrival[slots[i]!]!;
      if (number < most) late++;
      else most = number;
    }
    highest[port] = most;
    return late;
  };
}

export class ArrivalOrder {
  /** See {@link streamsOf}. */
  private readonly streamOf: Uint8Array | undefined;
  /** Highest arrival number sent so far, by port; and by stream of each port. */
  private readonly last: Float64Array;
  private readonly loop: Left;

  /** @param ports of the chain @param numbers which of them can be compared */
  constructor(
    private readonly arena: Pick<Arena, "arrival" | "home" | "portIn">,
    ports: number,
    numbers: Topology["numbers"],
  ) {
    this.streamOf = streamsOf(arena, numbers);
    this.last = new Float64Array(numbers === "all" ? ports : ports * STREAMS);
    this.loop = ownCode(makeLeft, arena, this.last);
  }

  /** @returns how many of the packets that leave by `port` are late */
  left(slots: Uint32Array, count: number, port: number): number {
    if (this.streamOf !== undefined) return this.leftOf(slots, count, port, this.streamOf);
    return this.loop(slots, count, port);
  }

  /** Where packets of several receivers, or ports, each have numbers of their own. */
  private leftOf(slots: Uint32Array, count: number, port: number, streamOf: Uint8Array): number {
    const { last } = this;
    const { arrival } = this.arena;
    const first = port * STREAMS;
    let late = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const at = first + streamOf[slot]!;
      const number = arrival[slot]!;
      if (number < last[at]!) late++;
      else last[at] = number;
    }
    return late;
  }
}
