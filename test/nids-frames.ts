/** Frames for the tests of the nids, built field by field. */
import type { LoadContext } from "../runtime/chain/nf.js";
import { Arena, DATA_OFFSET, SLOT_SHIFT } from "../runtime/packet/arena.js";
import { writeIpv4Checksum } from "../runtime/packet/checksum.js";
import { Gate } from "../runtime/packet/gate.js";

export interface FrameSpec {
  readonly proto?: "tcp" | "udp" | "icmp" | "icmp6" | number;
  readonly src?: readonly number[];
  readonly dst?: readonly number[];
  readonly sport?: number;
  readonly dport?: number;
  /** TCP flags byte. */
  readonly bits?: number;
  readonly ttl?: number;
  readonly payload?: Uint8Array | string;
  /** IPv4 flags and fragment offset. */
  readonly fragment?: number;
  readonly seconds?: number;
}

export const bytesOf = (text: Uint8Array | string) => (typeof text === "string" ? Buffer.from(text, "latin1") : text);

const word = (value: number) => [value >> 8, value & 0xff];

/** An Ethernet frame; IPv6 where the addresses have 16 bytes. */
export function frame(spec: FrameSpec): Uint8Array {
  const {
    src = [10, 0, 0, 1],
    dst = [10, 0, 0, 2],
    sport = 1025,
    dport = 80,
    bits = 0x10,
    ttl = 64,
    fragment = 0,
  } = spec;
  const payload = bytesOf(spec.payload ?? "");
  const proto = spec.proto ?? "tcp";
  const v6 = src.length === 16;
  let l4: number[] = [];
  let number = 0;
  if (proto === "tcp") {
    number = 6;
    l4 = [...word(sport), ...word(dport), 0, 0, 0, 1, 0, 0, 0, 1, 0x50, bits, 0xff, 0xff, 0, 0, 0, 0];
  } else if (proto === "udp") {
    number = 17;
    l4 = [...word(sport), ...word(dport), ...word(8 + payload.length), 0, 0];
  } else if (typeof proto === "string") {
    number = proto === "icmp" ? 1 : 58;
    l4 = [sport, dport, 0, 0, 0, 0, 0, 0];
  } else {
    number = proto;
  }
  const body = [...l4, ...payload];
  const mac = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
  if (v6) {
    return Uint8Array.from([
      ...mac,
      0x86,
      0xdd,
      0x60,
      0,
      0,
      0,
      ...word(body.length),
      number,
      ttl,
      ...src,
      ...dst,
      ...body,
    ]);
  }
  const ip = Uint8Array.from([
    0x45,
    0,
    ...word(20 + body.length),
    0,
    1,
    ...word(fragment),
    ttl,
    number,
    0,
    0,
    ...src,
    ...dst,
  ]);
  writeIpv4Checksum(new Uint16Array(ip.buffer), 0, 20);
  return Uint8Array.from([...mac, 8, 0, ...ip, ...body]);
}

/** Puts frames into slots 0, 1, ... and through the gate; throws where the gate refuses one. */
export function fill(arena: Arena, frames: readonly Uint8Array[], specs: readonly FrameSpec[] = []): void {
  const slots = Uint32Array.from(frames, (_, i) => i);
  frames.forEach((bytes, i) => {
    arena.u8.set(bytes, (i << SLOT_SHIFT) + DATA_OFFSET);
    arena.off[i] = DATA_OFFSET;
    arena.len[i] = bytes.length;
    arena.arrival[i] = i + 1;
    arena.tsSec[i] = specs[i]?.seconds ?? 1_700_000_000;
    arena.tsNsec[i] = 123_456_789;
    arena.rxError[i] = 0;
  });
  const reasons = new Uint8Array(frames.length);
  if (new Gate(arena).check(slots, frames.length, reasons) > 0) {
    throw new Error(`the gate refuses frame ${reasons.findIndex((reason) => reason !== 0)}`);
  }
}

export function arenaWith(specs: readonly FrameSpec[]): Arena {
  const arena = Arena.create(Math.max(64, specs.length));
  fill(arena, specs.map(frame), specs);
  return arena;
}

/** A load context that collects its warnings; paths are taken as they are. */
export function loadContext(): LoadContext & { readonly warnings: string[] } {
  const warnings: string[] = [];
  return {
    name: "nids",
    where: "chain.json: nfs.nids.config",
    resolve: (path) => path,
    ports: [],
    txPorts: [],
    mtu: [],
    warn: (line) => void warnings.push(line),
    warnings,
  };
}
