/** Packets in a row that leave alike, found in one pass which measures them, too. Its loop is in machine code of each egress's own (ownCode). */
import type { Arena } from "../packet/arena.js";

/**
 * Looks how many packets from slots[from] on leave as that one does, and records their latency.
 * @param count end of the burst
 * @param now ns on the engine's clock
 * @param recordNs latency of what was received from then on is recorded
 * @param mtu bytes of an IP packet that the port takes; what is longer ends the run, but for slots[from]
 * @returns the first that is not of the run; how many bytes it has stands in bytes[0]
 */
export type Run = (
  slots: Uint32Array,
  from: number,
  count: number,
  now: number,
  recordNs: number,
  mtu: number,
) => number;

/**
 * @param record takes a latency in ns, and how many packets have it: those received in one burst do
 * @param limited false where no port has an MTU
 */
export function makeRun(
  arena: Pick<Arena, "next" | "portOut" | "len" | "rxNs" | "l3" | "l3end">,
  record: (ns: number, packets: number) => void,
  bytes: Float64Array,
  limited: boolean,
): Run {
  const { next, portOut, len, rxNs, l3, l3end } = arena;
  const note = record;
  const sums = bytes;
  const measures = limited;
  return (slots, from, count, now, recordNs, mtu) => {
    const first = slots[from]!;
    const target = next[first]!;
    const port = portOut[first]!;
    let time = rxNs[first]!;
    let sum = len[first]!;
    let since = from;
    let i = from + 1;
    for (; i < count; i++) {
      const slot = slots[i]!;
      if (next[slot] !== target || portOut[slot] !== port) break;
      if (measures && l3end[slot]! - l3[slot]! > mtu) break;
      sum += len[slot]!;
      const received = rxNs[slot]!;
      if (received === time) continue;
      if (time >= recordNs) note(now - time, i - since);
      time = received;
      since = i;
    }
    if (time >= recordNs) note(now - time, i - since);
    sums[0] = sum;
    return i;
  };
}
