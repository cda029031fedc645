/**
 * Maps and XDP programs by bpf(2): attributes as linux/bpf.h lays them out, in native byte order. What it makes are descriptors, which
 * every thread of the process can use and whoever opened them closes.
 */
import { addressOf, bpf, errno, errorName } from "./syscalls.js";

const MAP_CREATE = 0;
const MAP_UPDATE_ELEM = 2;
const MAP_DELETE_ELEM = 3;
const PROG_LOAD = 5;
const LINK_CREATE = 28;
const PROG_TYPE_XDP = 6;
const ATTACH_XDP = 37;
const ATTRIBUTE_BYTES = 128;
const LOG_BYTES = 16384;

/** Types of maps. */
export const BPF_MAP = { ARRAY: 2, XSKMAP: 17 } as const;
/** The map's memory can be mapped. */
export const BPF_F_MMAPABLE = 0x400;

/** An instruction: operation, registers (source << 4 | target), offset of 16 bits, immediate of 32. */
export type Instruction = readonly [number, number, number, number];

/** What an XDP program returns. */
export const XDP = { DROP: 1, PASS: 2 } as const;

/** linux/bpf.h, bpf_attr of BPF_MAP_CREATE. @returns a descriptor; negative: see errno() */
export function createMap(type: number, valueBytes: number, entries: number, flags = 0): number {
  const attributes = new DataView(new ArrayBuffer(ATTRIBUTE_BYTES));
  [type, 4, valueBytes, entries, flags].forEach((word, i) => {
    attributes.setUint32(i * 4, word, true);
  });
  return bpf(MAP_CREATE, new Uint8Array(attributes.buffer));
}

/** Sets an entry of a map of words. @returns negative: see errno() */
export function updateMap(map: number, key: number, value: number): number {
  return mapElement(MAP_UPDATE_ELEM, map, key, value);
}

/** Empties an entry. @returns negative: see errno() */
export function deleteFromMap(map: number, key: number): number {
  return mapElement(MAP_DELETE_ELEM, map, key, 0);
}

function mapElement(command: number, map: number, key: number, value: number): number {
  const words = new Uint8Array(Uint32Array.of(key, value).buffer);
  const attributes = new DataView(new ArrayBuffer(ATTRIBUTE_BYTES));
  const at = addressOf(words);
  attributes.setUint32(0, map, true);
  attributes.setBigUint64(8, at, true);
  if (command === MAP_UPDATE_ELEM) attributes.setBigUint64(16, at + 4n, true);
  return bpfOver(command, new Uint8Array(attributes.buffer), words);
}

/** @returns the program's descriptor; or errno and what the kernel's verifier said, in words */
export function loadXdp(program: readonly Instruction[]): number | { readonly errno: number; readonly said: string } {
  const instructions = new DataView(new ArrayBuffer(program.length * 8));
  program.forEach(([operation, registers, offset, immediate], i) => {
    instructions.setUint8(i * 8, operation);
    instructions.setUint8(i * 8 + 1, registers);
    instructions.setInt16(i * 8 + 2, offset, true);
    instructions.setInt32(i * 8 + 4, immediate, true);
  });
  const code = new Uint8Array(instructions.buffer);
  const license = Buffer.from("Dual MIT/GPL\0", "latin1");
  const log = Buffer.alloc(LOG_BYTES);
  const attributes = new DataView(new ArrayBuffer(ATTRIBUTE_BYTES));
  const bytes = new Uint8Array(attributes.buffer);
  attributes.setUint32(0, PROG_TYPE_XDP, true);
  attributes.setUint32(4, program.length, true);
  attributes.setBigUint64(8, addressOf(code), true);
  attributes.setBigUint64(16, addressOf(license), true);
  bytes.set(Buffer.from("wingbeat", "latin1"), 48);
  attributes.setUint32(68, ATTACH_XDP, true);
  let fd = bpfOver(PROG_LOAD, bytes, code, license);
  const number = errno();
  if (fd < 0) {
    // Asked for only now: a log that does not fit would be an error of its own.
    attributes.setUint32(24, 1, true);
    attributes.setUint32(28, log.length, true);
    attributes.setBigUint64(32, addressOf(log), true);
    fd = bpfOver(PROG_LOAD, bytes, code, license, log);
  }
  if (fd >= 0) return fd;
  const said = log.toString("latin1").split("\0")[0]!.trim();
  return { errno: number, said: `${errorName(number)} ${said}`.trim() };
}

/** Attaches a program to an interface for as long as the descriptor is open. @returns it; negative: see errno() */
export function linkXdp(program: number, interfaceIndex: number, flags: number): number {
  const attributes = new DataView(new ArrayBuffer(ATTRIBUTE_BYTES));
  attributes.setUint32(0, program, true);
  attributes.setUint32(4, interfaceIndex, true);
  attributes.setUint32(8, ATTACH_XDP, true);
  attributes.setUint32(12, flags, true);
  return bpf(LINK_CREATE, new Uint8Array(attributes.buffer));
}

/** A call whose attributes name these buffers by address, which alone does not keep them from being collected. */
function bpfOver(command: number, attributes: Uint8Array, ...buffers: readonly Uint8Array[]): number {
  const status = bpf(command, attributes);
  for (const { length } of buffers) if (length === 0) throw new Error("a buffer of no bytes has no address");
  return status;
}
