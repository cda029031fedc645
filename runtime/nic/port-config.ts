/** The configuration of each driver's ports, in chain files and as `--in` and `--out` take it. */
import { z } from "zod";
import { ConfigError } from "../errors.js";
import { validate } from "../validate.js";
import { isLiveDriver, SLOT_MTU } from "./drivers.js";
import { generatorKeys } from "./generator/options.js";
import { packetKeys } from "./packet/config.js";
import { interfaceKeys, xdpKeys } from "./xdp/config.js";

/** Keys of every port. */
const common = {
  dir: z
    .enum(["rx", "tx", "both"])
    .optional()
    .describe("default: files, generator and null as they are used, interfaces both, but `in` rx and `out` tx"),
  mtu: z
    .int()
    .min(68)
    .max(SLOT_MTU)
    .optional()
    .describe(`largest IP packet in bytes; default ${SLOT_MTU}, what a slot holds`),
};

export const pcapPort = z.strictObject({
  driver: z.literal("pcap"),
  file: z.string().min(1).describe("capture to read or write: pcap or pcapng, .gz or not, by name when written"),
  ...common,
});
export const generatorPort = z.strictObject({ driver: z.literal("generator"), ...generatorKeys, ...common });
export const nullPort = z.strictObject({ driver: z.literal("null"), ...common });
export const xdpPort = z.strictObject({ driver: z.literal("xdp"), ...xdpKeys, ...common });
export const packetPort = z.strictObject({ driver: z.literal("packet"), ...packetKeys, ...common });
export const mmsgPort = z.strictObject({ driver: z.literal("mmsg"), ...packetKeys, ...common });
export const autoPort = z.strictObject({ driver: z.literal("auto"), ...interfaceKeys, ...common });

/** A port as it stands in a chain file. */
export const portSchema = z.discriminatedUnion("driver", [
  pcapPort,
  generatorPort,
  nullPort,
  xdpPort,
  packetPort,
  mmsgPort,
  autoPort,
]);
export type PortConfig = z.output<typeof portSchema>;

const DRIVERS = {
  pcap: pcapPort,
  generator: generatorPort,
  null: nullPort,
  xdp: xdpPort,
  packet: packetPort,
  mmsg: mmsgPort,
  auto: autoPort,
} as const;
/** Checks a port of a chain file. @throws ConfigError naming the key */
export function parsePort(value: unknown, where: string): PortConfig {
  const driver = (value as { driver?: unknown } | null)?.driver;
  if (typeof driver === "string" && !Object.hasOwn(DRIVERS, driver)) throw unknownDriver(driver, `${where}.driver`);
  return validate(portSchema, value, where);
}

/**
 * What `--in` and `--out` take: a file name, `null`, `generator:key=value,...` or `DRIVER:INTERFACE`.
 * @param where the option, for messages
 * @throws ConfigError for an unknown driver or key
 */
export function parsePortString(text: string, where = "--in"): PortConfig {
  if (text === "") throw new ConfigError(where, "is empty", "give a file name, null or generator:KEY=VALUE,...");
  if (text === "null") return { driver: "null" };
  const match = /^([A-Za-z][A-Za-z0-9_-]*)(?::(.*))?$/s.exec(text);
  const [, driver, rest] = match ?? [];
  if (driver === "generator")
    return parsePort({ driver, ...parsePairs(rest ?? "", where, "generator:size=64") }, where);
  if (driver !== undefined && isLiveDriver(driver)) {
    const [name, ...more] = (rest ?? "").split(",");
    if (name === "") {
      const remedy = `write ${driver}:INTERFACE, as in ${driver}:eth1; a file of this name is ./${text}`;
      throw new ConfigError(where, `${text} names no network interface`, remedy);
    }
    const pairs = parsePairs(more.join(","), where, `${driver}:${name},queue=0`);
    return parsePort({ driver, interface: name, ...pairs }, where);
  }
  if (driver === undefined || rest === undefined) return { driver: "pcap", file: text };
  if (driver === "pcap") return parsePort({ driver, file: rest }, where);
  throw unknownDriver(driver, where, `; a file whose name has a colon in it is written ./${text}`);
}

/** `size=64,count=1000` to an object; what looks like a number or a truth value is one. */
function parsePairs(text: string, where: string, example: string): Record<string, number | string | boolean> {
  // Without a prototype, so that "__proto__" is a key like any other unknown one.
  const values = Object.create(null) as Record<string, number | string | boolean>;
  for (const pair of text.split(",")) {
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    if (equals <= 0)
      throw new ConfigError(
        where,
        `"${pair}" in the port's options is not KEY=VALUE`,
        `KEY=VALUE pairs with commas between: ${example}`,
      );
    const key = pair.slice(0, equals);
    const value = pair.slice(equals + 1);
    if (key in values)
      throw new ConfigError(where, `"${key}" stands twice in the port's options`, "keep one of the two");
    if (value === "true" || value === "false") values[key] = value === "true";
    else values[key] = /^[0-9]*\.?[0-9]+(?:e[0-9]+)?$/i.test(value) ? Number(value) : value;
  }
  return values;
}

function unknownDriver(driver: string, where: string, more = ""): ConfigError {
  const names = Object.keys(DRIVERS).join(", ");
  return new ConfigError(where, `unknown driver "${driver}"`, `there are: ${names}${more}`);
}
