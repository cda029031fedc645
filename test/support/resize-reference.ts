/**
 * Frames brought to a length, written to be read: what runtime/experiment/input must make of one frame. Shares no code with it; what the
 * gate says of the frame comes from the gate's own reference.
 */
import { be16, checksum, concat } from "./frames.js";
import { type Accepted, gateReference } from "./gate-reference.js";

export interface Resized {
  readonly frame: Uint8Array;
  /** "cut", "same", "filled", "headers-only", or why the frame is as it was. */
  readonly verdict: string;
}

/** Why a frame has to stay as it is; undefined where it can be resized. */
export function keptReason(frame: Uint8Array, truncated = false, tooLong = false): string | undefined {
  const verdict = gateReference(frame, { truncated, tooLong });
  if (verdict.reason !== "") return "gate";
  const is = (flag: string) => verdict.flags.some((one) => one === flag);
  if (!is("IPV4") && !is("IPV6")) return "non-ip";
  if (verdict.proto === 50) return "esp";
  if (verdict.proto === 51 || extensions(frame, verdict).some(({ type }) => type === 51)) return "ah";
  if (is("FRAGMENT")) return "fragment";
  const icmp = is("IPV4") ? 1 : 58;
  return [6, 17, icmp].includes(verdict.proto) ? undefined : "protocol";
}

/** @param filling bytes to fill with, as many as are asked for */
export function resizeReference(frame: Uint8Array, size: number, filling: (bytes: number) => Uint8Array): Resized {
  const verdict = gateReference(frame);
  if (verdict.reason !== "") throw new Error("a frame that the gate drops is kept");
  const { l3, l4, payload, payloadEnd, proto } = verdict;
  const isIpv4 = verdict.flags.some((one) => one === "IPV4");
  const before = frame.subarray(payload, payloadEnd);
  const room = Math.max(0, size - payload);
  const after = room > before.length ? concat(before, filling(room - before.length)) : before.slice(0, room);
  const segment = concat(frame.subarray(l4, payload), after);

  const at = proto === 6 ? 16 : proto === 17 ? 6 : 2;
  const old = (frame[l4 + at]! << 8) | frame[l4 + at + 1]!;
  if (proto === 17) segment.set(be16(segment.length), 4);
  if (proto !== 17 || old !== 0) {
    segment.set([0, 0], at);
    const isUnderWay = extensions(frame, verdict).some(({ type, bytes }) => type === 43 && bytes[3] !== 0);
    let value: number;
    if (isUnderWay) {
      // Whatever address it was taken over: what it lacks to the sum of all else.
      const was = frame.slice(l4, payloadEnd);
      was.set([0, 0], at);
      const unknown = modulo(-(old + was.length + sum(was)));
      value = 0xffff - (modulo(unknown + segment.length + sum(segment)) || 0xffff);
    } else {
      const addresses = isIpv4 ? frame.subarray(l3 + 12, l3 + 20) : frame.subarray(l3 + 8, l3 + 40);
      const pseudo = concat(addresses, [0, proto], be16(segment.length));
      value = checksum(proto === 1 ? segment : concat(pseudo, segment));
    }
    segment.set(be16(value === 0 && proto === 17 ? 0xffff : value), at);
  }

  const header = frame.slice(l3, l4);
  if (isIpv4) {
    header.set(be16(header.length + segment.length), 2);
    header.set([0, 0], 10);
    header.set(be16(checksum(header)), 10);
  } else {
    header.set(be16(header.length - 40 + segment.length), 4);
  }
  const whole = concat(frame.subarray(0, l3), header, segment);
  const change = Math.sign(after.length - before.length);
  return { frame: whole, verdict: whole.length > size ? "headers-only" : ["cut", "same", "filled"][change + 1]! };
}

/** The extension headers of an IPv6 packet, which the gate found in order. */
function extensions(frame: Uint8Array, { l3, l4, flags }: Accepted): { type: number; bytes: Uint8Array }[] {
  const out: { type: number; bytes: Uint8Array }[] = [];
  if (!flags.some((flag) => flag === "IPV6")) return out;
  let type = frame[l3 + 6]!;
  for (let at = l3 + 40; at < l4; ) {
    const length = type === 44 ? 8 : type === 51 ? (frame[at + 1]! + 2) * 4 : (frame[at + 1]! + 1) * 8;
    out.push({ type, bytes: frame.subarray(at, at + length) });
    type = frame[at]!;
    at += length;
  }
  return out;
}

/** Of big-endian words. */
function sum(bytes: Uint8Array): number {
  return bytes.reduce((total, byte, i) => total + (i % 2 === 0 ? byte << 8 : byte), 0);
}

/** The residue that one's complement sums are equal by. */
function modulo(value: number): number {
  return ((value % 0xffff) + 0xffff) % 0xffff;
}
