/** What the port tests share: files to work in, a port drained into plain objects, fixtures built byte by byte. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PortConfig, RxOptions } from "../runtime/nic/drivers.js";
import { openRx, openTx } from "../runtime/nic/drivers.js";
import type { RxPort } from "../runtime/nic/port.js";
import { Arena, MAX_FRAME, SLOT_SHIFT } from "../runtime/packet/arena.js";

export interface Frame {
  bytes: Buffer;
  wireLen: number;
  rxError: number;
  sec: number;
  nsec: number;
}

export const SLOTS = 64;
export const arena = Arena.create(SLOTS);

/** A folder that goes away with the process. */
export const folder = mkdtempSync(join(tmpdir(), "wingbeat-ports-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
let files = 0;
export const fresh = (suffix: string) => join(folder, `${++files}${suffix}`);

export function context(warnings: string[] = []) {
  return { name: "in", arena, warn: (line: string) => void warnings.push(line) };
}

/** Everything a port receives, in bursts of `burst`. */
export async function drain(port: RxPort, burst = 7, limit = Number.POSITIVE_INFINITY): Promise<Frame[]> {
  // Not in order, so that a port that ignores the numbers it is given is caught.
  const slots = Uint32Array.from({ length: SLOTS }, (_, i) => (i * 5 + 3) % SLOTS);
  const frames: Frame[] = [];
  let idle = 0;
  while (!port.done && frames.length < limit) {
    const count = port.receive(slots, burst);
    if (count === 0 && !port.done) {
      if (++idle > 100_000) throw new Error("the port is neither done nor ready");
      await port.ready();
    }
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const at = (slot << SLOT_SHIFT) + arena.off[slot]!;
      frames.push({
        bytes: Buffer.from(arena.u8.slice(at, at + arena.len[slot]!)),
        wireLen: arena.wireLen[slot]!,
        rxError: arena.rxError[slot]!,
        sec: arena.tsSec[slot]!,
        nsec: arena.tsNsec[slot]!,
      });
    }
  }
  return frames;
}

export async function read(config: PortConfig, warnings: string[] = [], options: RxOptions = {}): Promise<Frame[]> {
  const port = await openRx(config, context(warnings), options);
  try {
    return await drain(port);
  } finally {
    await port.close();
  }
}

export const readFile = (file: string, warnings: string[] = []) => read({ driver: "pcap", file }, warnings);

/** Writes frames through a tx port, from odd places in the slots, as NFs leave them. */
export async function write(file: string, frames: readonly Frame[], off = 222): Promise<void> {
  const port = await openTx({ driver: "pcap", file }, context());
  const slots = new Uint32Array(1);
  for (const [i, frame] of frames.entries()) {
    const slot = i % SLOTS;
    slots[0] = slot;
    arena.off[slot] = off;
    arena.len[slot] = frame.bytes.length;
    arena.tsSec[slot] = frame.sec;
    arena.tsNsec[slot] = frame.nsec;
    arena.u8.set(frame.bytes, (slot << SLOT_SHIFT) + off);
    port.transmit(slots, 1);
    if (i % 50 === 49) port.flush();
  }
  await port.close();
  await port.close();
}

/** Little pieces of a file in either byte order. */
export class Pieces {
  private readonly parts: Buffer[] = [];
  constructor(readonly le: boolean) {}
  u16(...values: number[]): this {
    for (const value of values) {
      const b = Buffer.alloc(2);
      this.le ? b.writeUInt16LE(value) : b.writeUInt16BE(value);
      this.parts.push(b);
    }
    return this;
  }
  u32(...values: number[]): this {
    for (const value of values) {
      const b = Buffer.alloc(4);
      this.le ? b.writeUInt32LE(value >>> 0) : b.writeUInt32BE(value >>> 0);
      this.parts.push(b);
    }
    return this;
  }
  raw(bytes: Uint8Array | readonly number[]): this {
    this.parts.push(Buffer.from(bytes));
    return this;
  }
  get bytes(): Buffer {
    return Buffer.concat(this.parts);
  }
}

export interface ClassicRecord {
  sec: number;
  ticks: number;
  data: Uint8Array;
  original?: number;
  captured?: number;
}

export function classic(
  records: readonly ClassicRecord[],
  { le = true, nano = false, link = 1, major = 2, minor = 4 } = {},
): Buffer {
  const p = new Pieces(le)
    .u32(nano ? 0xa1b23c4d : 0xa1b2c3d4)
    .u16(major, minor)
    .u32(0, 0, 65535, link);
  for (const { sec, ticks, data, original, captured } of records) {
    p.u32(sec, ticks, captured ?? data.length, original ?? data.length).raw(data);
  }
  return p.bytes;
}

/** A pcapng block with the body given, padded. */
export function block(le: boolean, type: number, body: Uint8Array): Buffer {
  const pad = Buffer.alloc((4 - (body.length % 4)) % 4);
  const total = 12 + body.length + pad.length;
  return new Pieces(le).u32(type, total).raw(body).raw(pad).u32(total).bytes;
}

export function option(le: boolean, code: number, value: Uint8Array): Buffer {
  return new Pieces(le)
    .u16(code, value.length)
    .raw(value)
    .raw(Buffer.alloc((4 - (value.length % 4)) % 4)).bytes;
}

export const section = (le: boolean, options: Uint8Array = Buffer.alloc(0)) =>
  block(le, 0x0a0d0d0a, new Pieces(le).u32(0x1a2b3c4d).u16(1, 0).u32(0xffffffff, 0xffffffff).raw(options).bytes);

export const iface = (le: boolean, link = 1, snap = 0, options: Uint8Array = Buffer.alloc(0)) =>
  block(le, 1, new Pieces(le).u16(link, 0).u32(snap).raw(options).bytes);

export function epb(
  le: boolean,
  id: number,
  time: bigint,
  data: Uint8Array,
  original = data.length,
  options: Uint8Array = Buffer.alloc(0),
): Buffer {
  const body = new Pieces(le)
    .u32(id, Number(time >> 32n), Number(time & 0xffff_ffffn), data.length, original)
    .raw(data)
    .raw(Buffer.alloc((4 - (data.length % 4)) % 4))
    .raw(options).bytes;
  return block(le, 6, body);
}

export function fill(length: number, first = 1): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = i * 7 + first;
  return bytes;
}

export async function rejects(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error("nothing was thrown");
}

/** A file with the bytes given. */
export function put(bytes: Uint8Array, suffix = ".pcap"): string {
  const file = fresh(suffix);
  writeFileSync(file, bytes);
  return file;
}

/** Frames of every length around the places where copying changes its ways. */
export const someFrames = (): Frame[] =>
  [0, 1, 13, 14, 60, 63, 64, 65, 159, 160, 161, 162, 163, 164, 399, 400, 401, 1514, MAX_FRAME - 1, MAX_FRAME].map(
    (length, i) => ({
      bytes: fill(length, i),
      wireLen: length,
      rxError: 0,
      sec: 1_700_000_000 + i,
      nsec: (i * 123_456_789) % 1e9,
    }),
  );
