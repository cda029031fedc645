// @ts-check
/** What an ELF file asks of the machine it is loaded on: for the bundle, which goes to machines that cannot be asked. */
import { readFileSync } from "node:fs";

/**
 * @typedef {object} ElfFacts
 * @property {number} machine e_machine: 62 is x86-64
 * @property {string[]} needed sonames of the libraries it is linked to (DT_NEEDED), in the file's order
 * @property {string[]} versions symbol versions it wants of them, e.g. "GLIBC_2.34", without order
 */

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const DT_NEEDED = 1n;
const DT_STRTAB = 5n;
const DT_VERNEED = 0x6ffffffen;
const DT_VERNEEDNUM = 0x6fffffffn;

/**
 * Reads a 64-bit little-endian ELF file. Structures and their offsets: System V ABI, "Object Files", "Dynamic Linking";
 * Linux Standard Base, "Symbol Versioning".
 *
 * @param {string} path
 * @returns {ElfFacts | undefined} undefined for any other file
 */
export function readElf(path) {
  const file = readFileSync(path);
  if (file.length < 64 || file.readUInt32BE(0) !== 0x7f454c46 || file[4] !== 2 || file[5] !== 1) return undefined;
  /** @type {ElfFacts} */
  const facts = { machine: file.readUInt16LE(18), needed: [], versions: [] };
  const headers = programHeaders(file);
  const dynamic = headers.find(({ type }) => type === PT_DYNAMIC);
  if (dynamic === undefined) return facts;

  /** @param {number} address @returns {number} where what is loaded to `address` lies in the file */
  const offsetOf = (address) => {
    const load = headers.find(
      (one) => one.type === PT_LOAD && address >= one.address && address < one.address + one.size,
    );
    if (load === undefined) throw new Error(`${path}: no segment holds address 0x${address.toString(16)}`);
    return address - load.address + load.offset;
  };
  /** @type {number[]} */
  const needed = [];
  let strings = 0;
  let versions = 0;
  let versionCount = 0;
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.size; at += 16) {
    const tag = file.readBigInt64LE(at);
    const value = Number(file.readBigUInt64LE(at + 8));
    if (tag === DT_NEEDED) needed.push(value);
    else if (tag === DT_STRTAB) strings = offsetOf(value);
    else if (tag === DT_VERNEED) versions = offsetOf(value);
    else if (tag === DT_VERNEEDNUM) versionCount = value;
  }
  /** @param {number} at offset into the string table */
  const text = (at) => file.toString("latin1", strings + at, file.indexOf(0, strings + at));
  facts.needed = needed.map(text);
  // Elf64_Verneed: u16 version, u16 aux count, u32 file, u32 aux, u32 next; Elf64_Vernaux: u32 hash, u16 flags, u16 other, u32 name, u32 next.
  for (let i = 0, at = versions; i < versionCount; i++) {
    for (let j = 0, aux = at + file.readUInt32LE(at + 8); j < file.readUInt16LE(at + 2); j++) {
      facts.versions.push(text(file.readUInt32LE(aux + 8)));
      aux += file.readUInt32LE(aux + 12);
    }
    at += file.readUInt32LE(at + 12);
  }
  return facts;
}

/** @param {Buffer} file */
function programHeaders(file) {
  const start = Number(file.readBigUInt64LE(32));
  const size = file.readUInt16LE(54);
  return Array.from({ length: file.readUInt16LE(56) }, (_, index) => {
    const at = start + index * size;
    return {
      type: file.readUInt32LE(at),
      offset: Number(file.readBigUInt64LE(at + 8)),
      address: Number(file.readBigUInt64LE(at + 16)),
      size: Number(file.readBigUInt64LE(at + 32)),
    };
  });
}

/**
 * The highest version of each library asked for: ["GLIBC_2.34", "GLIBCXX_3.4.30"].
 *
 * @param {readonly string[]} versions
 * @returns {string[]} sorted by name
 */
export function highestVersions(versions) {
  /** @type {Map<string, string>} */
  const highest = new Map();
  for (const version of versions) {
    const [, name, number] = /^([A-Z]+)_([0-9.]+)$/.exec(version) ?? [];
    if (name === undefined || number === undefined) continue;
    const before = highest.get(name);
    if (before === undefined || compare(number, before) > 0) highest.set(name, number);
  }
  return [...highest].map(([name, number]) => `${name}_${number}`).sort();
}

/** @param {string} a @param {string} b dotted numbers */
function compare(a, b) {
  const [left, right] = [a, b].map((text) => text.split(".").map(Number));
  for (let i = 0; i < Math.max(left?.length ?? 0, right?.length ?? 0); i++) {
    const difference = (left?.[i] ?? 0) - (right?.[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
