/** The chain file (JSON): ports, packet types, NFs, policy. */
import { z } from "zod";
import { portSchema } from "../nic/port-config.js";
import { RESERVED_NAMES } from "./policy.js";
import { selectorSchema } from "./selector-schema.js";
import { ANY_TYPE, DEFAULT_TYPE, NON_IP_TYPE } from "./type-names.js";

/** `type` and `outcome` are u8 in the slot metadata; a chain of this many is far beyond use. */
const MAX_TYPES = 250;
const MAX_NFS = 64;
const MAX_PORTS = 64;

const nameSchema = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/, "expected a name of letters, digits, _ and -, up to 64 characters");

const limited = <T extends z.ZodType>(value: T, most: number, what: string, reserved: readonly string[]) =>
  z.record(nameSchema, value).superRefine((record, context) => {
    const names = Object.keys(record);
    if (names.length > most) context.addIssue({ code: "custom", message: `expected at most ${most} ${what}` });
    for (const name of names.filter((n) => reserved.includes(n))) {
      context.addIssue({ code: "custom", path: [name], message: `"${name}" is a reserved name; choose another` });
    }
  });

export const nfSchema = z.strictObject({
  type: z.string().min(1).describe("folder under nfs/, or ./FILE.mjs: an NF of your own"),
  place: z.enum(["cpu", "gpu"]).default("cpu").describe("where its transform runs"),
  config: z.record(z.string(), z.unknown()).default({}).describe("see the NF's own documentation"),
});

export const chainSchema = z.strictObject({
  $schema: z.string().optional(),
  name: z.string().min(1).describe("appears in results"),
  ports: limited(portSchema, MAX_PORTS, "ports", []).describe("where packets come from and go to"),
  types: limited(selectorSchema, MAX_TYPES, "types", [DEFAULT_TYPE, NON_IP_TYPE, ANY_TYPE])
    .default({})
    .describe("packet types, tried in order, first match wins; `default` and `non-ip` are built in"),
  nfs: limited(nfSchema, MAX_NFS, "NFs", RESERVED_NAMES).default({}),
  policy: z.string().min(1).describe("CSV file: packet type,current NF,next NF"),
});
export type ChainFile = z.infer<typeof chainSchema>;
