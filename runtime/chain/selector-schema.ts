/** Selectors as users write them. A file of its own: the threads that match by selectors need no schema. */
import { z } from "zod";
import { PROTOCOLS, parsePrefix, parseRanges } from "./selector.js";

/** A zod type that checks with a parser and keeps the text, so that a selector stays plain JSON. */
function checked<T extends number | string>(base: z.ZodType<T>, parse: (value: T) => unknown) {
  return base.superRefine((value, context) => {
    const result = parse(value);
    if (typeof result === "string") context.addIssue({ code: "custom", message: result });
  });
}

const prefixSchema = checked(z.string(), parsePrefix);
const oneOrMore = <T extends z.ZodType>(item: T) => z.union([item, z.array(item).min(1)]);
const rangeSchema = (max: number) => checked(z.union([z.number(), z.string()]), (value) => parseRanges(value, max));
const protoSchema = checked(z.union([z.number().int().min(0).max(255), z.string()]), (value) =>
  typeof value === "number" || Object.hasOwn(PROTOCOLS, value)
    ? 0
    : `unknown protocol; known: ${Object.keys(PROTOCOLS).join(", ")}, or a number`,
);

/**
 * All keys given must match; a list matches when any of its members does. `sport` and `dport` match TCP, UDP and SCTP packets
 * that are not fragments. `port` is the name of the port a packet came in by. `vlan` is the outermost VLAN id; a packet
 * without a tag matches no `vlan`.
 */
export const selectorSchema = z.strictObject({
  src: oneOrMore(prefixSchema).optional().describe("source prefix or prefixes, IPv4 or IPv6"),
  dst: oneOrMore(prefixSchema).optional().describe("destination prefix or prefixes, IPv4 or IPv6"),
  proto: oneOrMore(protoSchema).optional().describe("IP protocol by name or number, behind IPv6 extension headers"),
  sport: rangeSchema(65535).optional().describe('source port: 53, "5060-5061", "80,443,8000-8100"'),
  dport: rangeSchema(65535).optional().describe("destination port, as sport"),
  port: z.string().optional().describe("name of the port the packet came in by"),
  vlan: rangeSchema(4095).optional().describe("outermost VLAN id or ids"),
  dscp: rangeSchema(63).optional().describe("DSCP value or values (RFC 2474)"),
  fragment: z.boolean().optional().describe("true: only fragments; false: only whole packets"),
});
export type SelectorSpec = z.infer<typeof selectorSchema>;
