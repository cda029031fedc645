/**
 * The SA file: its schema, and the way from JSON to the tables that workers share.
 */
import { z } from "zod";
import { readJsonFile } from "../../runtime/chain/json.js";
import { type SelectorSpec, selectorSchema } from "../../runtime/chain/selector-schema.js";
import { ConfigError } from "../../runtime/errors.js";
import { validate } from "../../runtime/validate.js";
import { expandKey, invertKey } from "./crypto/aes.js";
import { hmacStates } from "./crypto/sha1.js";
import { KEYS } from "./layout.js";

const MAX_WINDOW = 4096;
const WORD_BITS = 32;

const ipv4Schema = z
  .string()
  .regex(/^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/, "expected an IPv4 address such as 172.16.1.5");
/** JSON numbers are exact up to 2^53 - 1, so larger numbers are written as strings of digits. */
const seqStartSchema = z.union(
  [
    z.int().min(1),
    z
      .string()
      .regex(/^[1-9]\d{0,19}$/)
      .transform(BigInt),
  ],
  "expected a number from 1 on, or a string of decimal digits",
);

const common = {
  name: z.string().min(1).describe("unique; messages and statistics use it"),
  spi: z.int().min(1).max(0xffff_ffff).describe("security parameters index; 0 is never sent (RFC 4303 section 2.1)"),
  src: ipv4Schema.describe("outer source address; inbound it only informs: (dst, spi) selects (RFC 4301 section 4.1)"),
  dst: ipv4Schema.describe("outer destination address"),
  cipher: z.literal("aes-128-cbc"),
  cipher_key: z.string().describe("32 hex digits"),
  auth: z.literal("sha1-hmac"),
  auth_key: z.string().describe("40 hex digits"),
  esn: z.boolean().default(false).describe("64-bit extended sequence numbers (RFC 4303 section 2.2.1)"),
  seq_start: seqStartSchema.default(1).describe("first sequence number to send, or the first not yet received"),
};

export const outboundSchema = z.strictObject({
  ...common,
  direction: z.literal("out"),
  selector: selectorSchema
    .default({})
    .describe("which packets; without it all. The first SA that matches takes a packet"),
});

export const inboundSchema = z.strictObject({
  ...common,
  direction: z.literal("in"),
  replay_window: z
    .int()
    .min(0)
    .max(MAX_WINDOW)
    .multipleOf(WORD_BITS)
    .default(64)
    .describe(`anti-replay window in packets, a multiple of ${WORD_BITS} up to ${MAX_WINDOW}; 0 turns the check off`),
});

/** The whole file, for editors; {@link loadSas} validates SA by SA so that messages name the SA. */
export const saFileSchema = z.strictObject({
  $schema: z.string().optional(),
  sas: z.array(z.discriminatedUnion("direction", [outboundSchema, inboundSchema])).min(1),
});
const envelopeSchema = z.strictObject({ $schema: z.string().optional(), sas: z.array(z.unknown()).min(1) });

/** An SA as workers get it. Addresses are u32 values. */
export interface Sa {
  readonly name: string;
  /** Position in the file: key table record, and part of seeded IVs. */
  readonly index: number;
  readonly direction: "in" | "out";
  readonly spi: number;
  readonly src: number;
  readonly dst: number;
  readonly esn: boolean;
  readonly seqLow: number;
  readonly seqHigh: number;
  /** Outbound. */
  readonly selector: SelectorSpec;
  /** Inbound; packets, 0 is off. */
  readonly replayWindow: number;
}

export interface SaTable {
  readonly sas: readonly Sa[];
  /** KEYS.WORDS words for each SA, over shared memory. */
  readonly keys: Uint32Array;
}

/**
 * Reads and validates an SA file and computes every key schedule.
 * @param ports names of the chain's ports, for `selector.port`
 * @throws ConfigError naming file, SA and key; key material is never printed
 */
export function loadSas(file: string, ports: readonly string[]): SaTable {
  const { value } = readJsonFile(file, {
    what: "the SA file",
    remedy: "check `sas` in the NF's config",
    expected: 'expected {"sas": [...]}',
    secret: true,
  });
  const entries = validate(envelopeSchema, value, file).sas;
  const keys = new Uint32Array(new SharedArrayBuffer(entries.length * KEYS.WORDS * 4));
  const unique = new Uniqueness(file);
  const sas = entries.map((entry, index): Sa => {
    const where = `${file}: sas[${index}]${nameOf(entry)}`;
    const direction = (entry as { direction?: unknown } | null)?.direction;
    if (direction !== "in" && direction !== "out") {
      throw new ConfigError(
        where,
        `direction: expected "in" or "out" (found ${JSON.stringify(direction) ?? "nothing"})`,
      );
    }
    // The value handed to validate is what its messages quote, so keys are taken out of it first.
    const spec =
      direction === "out"
        ? validate(outboundSchema, quoted(entry), where)
        : validate(inboundSchema, quoted(entry), where);
    const { cipher_key, auth_key } = entry as { cipher_key: string; auth_key: string };
    const cipherKey = hexKey(cipher_key, 16, `${where}: cipher_key`);
    const authKey = hexKey(auth_key, 20, `${where}: auth_key`);
    const at = index * KEYS.WORDS;
    expandKey(cipherKey, keys, at + KEYS.ENCRYPT);
    invertKey(keys, at + KEYS.ENCRYPT, keys, at + KEYS.DECRYPT);
    hmacStates(authKey, keys, at + KEYS.INNER);
    unique.check(where, spec);

    const selector = spec.direction === "out" ? spec.selector : {};
    if (selector.port !== undefined && !ports.includes(selector.port)) {
      throw new ConfigError(where, `selector.port: no port named "${selector.port}"`, `ports: ${ports.join(", ")}`);
    }
    return {
      name: spec.name,
      index,
      direction,
      spi: spec.spi,
      src: ipv4ToU32(spec.src),
      dst: ipv4ToU32(spec.dst),
      esn: spec.esn,
      ...seqWords(BigInt(spec.seq_start), spec.esn, where),
      selector,
      replayWindow: spec.direction === "in" ? spec.replay_window : 0,
    };
  });
  return { sas, keys };
}

function nameOf(entry: unknown): string {
  const name = (entry as { name?: unknown } | null)?.name;
  return typeof name === "string" ? ` "${name}"` : "";
}

/** The entry with key material replaced by a word, for messages. */
function quoted(entry: unknown): unknown {
  if (entry === null || typeof entry !== "object") return entry;
  const copy: Record<string, unknown> = { ...entry };
  for (const key of ["cipher_key", "auth_key"]) if (typeof copy[key] === "string") copy[key] = "(hidden)";
  return copy;
}

function hexKey(text: string, bytes: number, where: string): Uint8Array {
  const expected = `expected ${2 * bytes} hex digits (${8 * bytes} bits)`;
  const wrong = text.search(/[^0-9a-fA-F]/);
  if (wrong >= 0) throw new ConfigError(where, `${expected}, character ${wrong + 1} is not a hex digit`);
  if (text.length !== 2 * bytes) throw new ConfigError(where, `${expected}, found ${text.length}`);
  return new Uint8Array(Buffer.from(text, "hex"));
}

/** RFC 4301 section 4.4.2: what identifies an SA must not be there twice. */
class Uniqueness {
  private readonly names = new Map<string, string>();
  private readonly ids = new Map<string, string>();

  constructor(private readonly file: string) {}

  check(where: string, sa: { name: string; direction: string; dst: string; spi: number }): void {
    const place = where.slice(this.file.length + 2);
    this.claim(this.names, sa.name, where, place, `name: "${sa.name}" is also the name of`);
    const id = `${sa.direction} ${ipv4ToU32(sa.dst)} ${sa.spi}`;
    this.claim(
      this.ids,
      id,
      where,
      place,
      `spi: ${sa.spi} towards dst ${sa.dst}, direction "${sa.direction}", is also`,
    );
  }

  private claim(taken: Map<string, string>, key: string, where: string, place: string, problem: string): void {
    const other = taken.get(key);
    if (other !== undefined) throw new ConfigError(where, `${problem} ${other}`, "give each SA its own");
    taken.set(key, place);
  }
}

function seqWords(start: bigint, esn: boolean, where: string): { seqLow: number; seqHigh: number } {
  const bits = esn ? 64n : 32n;
  if (start >> bits !== 0n) {
    throw new ConfigError(
      where,
      `seq_start: ${start} is over ${(1n << bits) - 1n}`,
      esn ? undefined : 'or set "esn": true',
    );
  }
  return { seqLow: Number(start & 0xffff_ffffn), seqHigh: Number(start >> 32n) };
}

export function ipv4ToU32(text: string): number {
  return text.split(".").reduce((value, part) => value * 256 + Number(part), 0);
}
