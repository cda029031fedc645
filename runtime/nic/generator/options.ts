/** What traffic to make: the schema that port configurations, `--in generator:...` and `wingbeat gen` share. */
import { z } from "zod";
import { MAX_FRAME } from "../../packet/arena.js";
import { MIN_FRAME, parsePorts, parsePrefix } from "./values.js";

const SIZE_EXPECTED = `a frame size from ${MIN_FRAME} to ${MAX_FRAME} bytes (layer 2 without FCS) or "imix" is expected`;
const size = z
  .union([z.literal("imix"), z.int().min(MIN_FRAME, SIZE_EXPECTED).max(MAX_FRAME, SIZE_EXPECTED)], {
    error: SIZE_EXPECTED,
  })
  .describe("frame size in bytes, layer 2 without FCS; imix: 28 x 64, 16 x 570, 4 x 1518 in every 48 packets");

const prefix = z
  .string()
  .refine((text) => parsePrefix(text) !== undefined, { error: "an address or a prefix like 10.0.0.0/8 is expected" });

const ports = z
  .union([z.int().min(0).max(65535), z.string().refine((text) => parsePorts(text) !== undefined)], {
    error: "a port or a range like 5060-5061 is expected",
  })
  .describe("port, or range of ports that flows draw from");

const header = {
  size: size.optional(),
  sport: ports.optional(),
  dport: ports.optional(),
  dscp: z.int().min(0).max(63).optional(),
  vlan: z.int().min(1).max(4094).optional().describe("802.1Q tag with this id"),
  payload: z.enum(["random", "text"]).optional().describe("random bytes, or text that looks like HTTP requests"),
};

const stream = z.strictObject({
  weight: z.number().positive().default(1).describe("share of the packets, relative to the other streams'"),
  proto: z.enum(["udp", "tcp"]).optional(),
  src: prefix.optional(),
  dst: prefix.optional(),
  ...header,
});

/** Keys of the generator. What a stream does not say, it takes from the keys beside `streams`. */
export const generatorKeys = {
  count: z.int().positive().default(1_000_000).describe("packets (with --loop N: N times as many)"),
  flows: z.int().positive().max(1_000_000).default(1000).describe("distinct 5-tuples, taken in turn"),
  seed: z.int().min(0).default(1),
  pps: z
    .number()
    .positive()
    .max(1e9)
    .default(1_000_000)
    .describe("packets per second by the timestamps, from 2020-01-01 on"),
  hits: z.number().min(0).max(1).default(0).describe("share of packets whose payload holds a content of `rules`"),
  rules: z.string().min(1).optional().describe("rule file whose contents `hits` come from"),
  tcp: z.number().min(0).max(1).default(0).describe("share of flows that are TCP; the others are UDP"),
  ipv6: z.number().min(0).max(1).default(0).describe("share of flows that are IPv6"),
  src: prefix.default("10.0.0.0/8"),
  dst: prefix.default("198.18.0.0/15"),
  src6: prefix.default("2001:2::/49"),
  dst6: prefix.default("2001:2:0:8000::/49"),
  ...header,
  streams: z.array(stream).min(1).max(256).optional().describe("several kinds of traffic, mixed by weight"),
};

export const generatorOptions = z.strictObject(generatorKeys);
/** As users write it. */
export type GeneratorInput = z.input<typeof generatorOptions>;
export type GeneratorOptions = z.output<typeof generatorOptions>;
export type StreamOptions = z.output<typeof stream>;
