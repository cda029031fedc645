/**
 * The drivers there are, the configuration of each, and the way from a port's configuration to an open port. A driver more is a file
 * more and an entry in `DRIVERS`.
 */
import { realpathSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import { ConfigError, RunError } from "../errors.js";
import { MAX_FRAME } from "../packet/arena.js";
import { ETHERNET } from "../packet/protocols.js";
import { validate } from "../validate.js";
import { generatorKeys } from "./generator/options.js";
import { openGenerator } from "./generator/rx.js";
import { findInterface, requireInterface } from "./net/interface.js";
import { openNullTx } from "./null.js";
import { type PacketConfig, packetKeys } from "./packet/config.js";
import { openMmsgRx } from "./packet/mmsg-rx.js";
import { openPacketRx } from "./packet/ring-rx.js";
import { openPacketTx } from "./packet/tx.js";
import { openCaptureRx } from "./pcap/rx.js";
import { openCaptureTx } from "./pcap/tx.js";
import type { PortContext, RxPort, TxPort } from "./port.js";
import { openReplay } from "./replay.js";
import { interfaceKeys, type XdpConfig, xdpKeys } from "./xdp/config.js";
import { openXdp } from "./xdp/port.js";
import { GuestXdpPort } from "./xdp/shared-port.js";

/** The largest IP packet in bytes that a slot holds: the `mtu` of ports that do not have one of their own. */
export const SLOT_MTU = MAX_FRAME - ETHERNET.BYTES;

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
/** Drivers of network interfaces. */
const LIVE = ["xdp", "packet", "mmsg", "auto"] as const;
export type LiveConfig = Extract<PortConfig, { driver: (typeof LIVE)[number] }>;

/** True for a network interface. */
export function isLive(config: PortConfig): config is LiveConfig {
  return isLiveDriver(config.driver);
}

const isLiveDriver = (driver: string): driver is LiveConfig["driver"] => (LIVE as readonly string[]).includes(driver);

/** True where a port that receives and sends does both by one socket, hence in one thread. */
export function sharesSocket(config: PortConfig): boolean {
  return config.driver === "xdp" || config.driver === "auto";
}

/** How many threads can receive from a port, each from queues of its own, and send by it; 0 receivers: it is no network interface. */
export function sharingOf(config: PortConfig): {
  readonly xdp: boolean;
  readonly receivers: number;
  readonly senders: number;
} {
  const any = Number.POSITIVE_INFINITY;
  const xdp = config.driver === "xdp";
  if (!isLive(config)) return { xdp, receivers: 0, senders: config.driver === "null" ? any : 1 };
  if (!sharesSocket(config)) return { xdp, receivers: any, senders: any };
  const queue = xdp ? config.queue : undefined;
  const queues = queue === undefined ? (findInterface(config.interface)?.queues ?? 1) : 1;
  return { xdp, receivers: queues, senders: queues };
}

/** The largest IP packet in bytes that a port takes; undefined: whatever the slot holds. Of an interface it is the interface's, where it is there. */
export function mtuOf(config: PortConfig): number | undefined {
  if (config.mtu !== undefined || !isLive(config)) return config.mtu;
  const mtu = findInterface(config.interface)?.mtu;
  return mtu === undefined ? undefined : Math.min(mtu, SLOT_MTU);
}

/** @param loop `--loop`: how often a capture or a generator's packets are played; 0: for ever; default once, from the file */
export interface RxOptions {
  readonly loop?: number | undefined;
}

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

/** The file a port's configuration names, made absolute or relative to something else by `from`. */
export function resolvePort(config: PortConfig, from: (path: string) => string): PortConfig {
  if (config.driver === "pcap") return { ...config, file: from(config.file) };
  if (config.driver === "generator" && config.rules !== undefined) return { ...config, rules: from(config.rules) };
  return config;
}

/**
 * Opens a port for receiving. With `loop` given, a capture is loaded into memory first and played that often.
 * @throws ConfigError for what cannot be opened, or cannot be received from
 */
export async function openRx(config: PortConfig, context: PortContext, options: RxOptions = {}): Promise<RxPort> {
  const { loop } = options;
  switch (config.driver) {
    case "pcap":
      if (loop === undefined || loop === 1) return openCaptureRx(config.file, context);
      return openReplay((loading) => openCaptureRx(config.file, loading), config.file, loop, context);
    case "generator":
      return openGenerator(config, loop ?? 1, context);
    case "null":
      throw new ConfigError(`port ${context.name}`, "null receives nothing, it only takes packets", "use it for --out");
    case "xdp":
      if (isGuest(context)) return new GuestXdpPort(context);
      return openInterface(config, context, { rx: true, tx: context.both === true });
    case "packet":
      return openPacketRx(config, context);
    case "mmsg":
      return openMmsgRx(config, context);
    case "auto":
      return xdpOr(() => openPacketRx(config, context), config, context, { rx: true, tx: context.both === true });
  }
}

/** True where the first receiving thread has opened the port for this one, too. */
const isGuest = ({ receiver }: PortContext) => receiver?.share !== undefined && receiver.pattern !== "default";

/** Opens a port for sending. @throws ConfigError for what cannot be opened, or cannot be sent to */
export async function openTx(config: PortConfig, context: PortContext): Promise<TxPort> {
  switch (config.driver) {
    case "pcap":
      return openCaptureTx(config.file, context);
    case "null":
      return openNullTx();
    case "generator":
      throw new ConfigError(`port ${context.name}`, "a generator makes packets, it takes none", "use it for --in");
    case "xdp":
      return bothWays.get(context.name) ?? openInterface(config, context, { rx: false, tx: true });
    case "packet":
    case "mmsg":
      return openPacketTx(config, context);
    case "auto":
      return (
        bothWays.get(context.name) ??
        xdpOr(() => openPacketTx(config, context), config, context, { rx: false, tx: true })
      );
  }
}

/** AF_XDP, else what `packet` opens, and a line that says why. */
function xdpOr<Port>(
  packet: () => Port,
  config: PacketConfig,
  context: PortContext,
  use: { rx: boolean; tx: boolean },
): Port | (RxPort & TxPort) {
  // An interface that is missing is missing for both.
  requireInterface(config.interface, `port ${context.name}`);
  // Of several receiving threads the first has decided.
  const taken = (context.receiver?.share as { driver: "xdp" | "packet" } | undefined)?.driver;
  if (taken === "packet") return packet();
  if (taken === "xdp") return openInterface(config, context, use);
  try {
    return openInterface(config, context, use);
  } catch (error) {
    if (!(error instanceof RunError)) throw error;
    context.warn(`${error.message.split("\n")[0]}; AF_PACKET instead`);
    return packet();
  }
}

/** Ports of this thread that were opened for receiving and send, too, by name. */
const bothWays = new Map<string, RxPort & TxPort>();

function openInterface(config: XdpConfig, context: PortContext, use: { rx: boolean; tx: boolean }): RxPort & TxPort {
  const port = openXdp(config, context, use);
  if (use.rx && use.tx) bothWays.set(context.name, port);
  return port;
}

/**
 * A file that is written must be no other port's: opening it for writing empties it.
 * @param ports name, configuration and use of every port that will be opened
 * @throws ConfigError naming both ports
 */
export function checkPortFiles(ports: ReadonlyArray<{ name: string; config: PortConfig; use: "rx" | "tx" }>): void {
  const writers = new Map<string, string>();
  const files = ports.flatMap(({ name, config, use }) =>
    config.driver === "pcap" ? [{ name, use, file: config.file, identity: fileIdentity(config.file) }] : [],
  );
  for (const { name, use, file, identity } of files) {
    if (use !== "tx") continue;
    const other = writers.get(identity);
    if (other !== undefined)
      throw new ConfigError(file, `is written by two ports, ${other} and ${name}`, "give each its own file");
    writers.set(identity, name);
  }
  for (const { name, use, file, identity } of files) {
    const writer = writers.get(identity);
    if (use === "rx" && writer !== undefined) {
      throw new ConfigError(file, `is read by port ${name} and written by port ${writer}`, "write to another file");
    }
  }
}

/** The same string for the same file, whatever path leads to it. */
export function fileIdentity(file: string): string {
  try {
    const { dev, ino } = statSync(file);
    return `${dev}:${ino}`;
  } catch {
    // Not there yet: its folder may be.
  }
  try {
    return join(realpathSync(dirname(resolve(file))), basename(file));
  } catch {
    return resolve(file);
  }
}
