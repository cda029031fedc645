/**
 * The drivers there are, and the way from a port's configuration to an open port. A driver more is a file more, a case in {@link openRx} and
 * {@link openTx}, and its configuration in port-config.ts: that file is the control plane's alone, this one every thread's that opens ports, which
 * loads the drivers it uses and no others.
 */
import { realpathSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { ConfigError, RunError } from "../errors.js";
import { MAX_FRAME } from "../packet/arena.js";
import { ETHERNET } from "../packet/protocols.js";
import { findInterface, requireInterface } from "./net/interface.js";
import { openNullTx } from "./null.js";
import type { PacketConfig } from "./packet/config.js";
import type { PortContext, RxPort, TxPort } from "./port.js";
import type { PortConfig } from "./port-config.js";
import type { XdpConfig } from "./xdp/config.js";

/** The largest IP packet in bytes that a slot holds: the `mtu` of ports that do not have one of their own. */
export const SLOT_MTU = MAX_FRAME - ETHERNET.BYTES;

/** Drivers of network interfaces. */
const LIVE = ["xdp", "packet", "mmsg", "auto"] as const;
export type LiveConfig = Extract<PortConfig, { driver: (typeof LIVE)[number] }>;
export type { PortConfig };

/** True for a network interface. */
export function isLive(config: PortConfig): config is LiveConfig {
  return isLiveDriver(config.driver);
}

/** Entries of a port's AF_XDP receive rings, of all its queues; of each `usual` where its configuration does not say. */
export function ringEntries(config: PortConfig, usual: number): number {
  if (!isLive(config) || !isXdp(config)) return 0;
  const { ring, queue } = config.driver === "xdp" ? config : {};
  return (ring ?? usual) * (queue === undefined ? (findInterface(config.interface)?.queues ?? 1) : 1);
}

/** True for the name of a driver of network interfaces. */
export const isLiveDriver = (driver: string): driver is LiveConfig["driver"] =>
  (LIVE as readonly string[]).includes(driver);

/** True for a network interface by AF_XDP, or maybe so. */
export function isXdp(config: PortConfig): boolean {
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
  if (!isXdp(config)) return { xdp, receivers: any, senders: any };
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
  if (isLive(config)) warnOfLength(config, context);
  switch (config.driver) {
    case "pcap": {
      const { openCaptureRx } = await import("./pcap/rx.js");
      if (loop === undefined || loop === 1) return openCaptureRx(config.file, context);
      const { openReplay } = await import("./replay.js");
      return openReplay((loading) => openCaptureRx(config.file, loading), config.file, loop, context);
    }
    case "generator": {
      const { openGenerator } = await import("./generator/rx.js");
      return openGenerator(config, loop ?? 1, context);
    }
    case "null":
      throw new ConfigError(`port ${context.name}`, "null receives nothing, it only takes packets", "use it for --out");
    case "xdp":
      if (isGuest(context)) return new (await import("./xdp/shared-port.js")).GuestXdpPort(context);
      return openInterface(config, context, { rx: true, tx: context.both === true });
    case "packet":
      return packetRx(config, context);
    case "mmsg":
      return (await import("./packet/mmsg-rx.js")).openMmsgRx(config, context);
    case "auto":
      return xdpOr(() => packetRx(config, context), config, context, { rx: true, tx: context.both === true });
  }
}

/** Says what is lost where an interface takes longer packets than a slot; they are counted, but their senders are told nothing. */
function warnOfLength({ interface: name }: LiveConfig, context: PortContext): void {
  const mtu = findInterface(name)?.mtu ?? 0;
  if (mtu <= SLOT_MTU || (context.receiver?.index ?? 0) > 0) return;
  const lost = `packets of more than ${SLOT_MTU} bytes are lost, and counted, since the MTU of ${name} is ${mtu}`;
  context.warn(`port ${context.name}: ${lost}: ip link set dev ${name} mtu 1500, and the same at what sends to it`);
}

const packetRx = async (config: PacketConfig, context: PortContext) =>
  (await import("./packet/ring-rx.js")).openPacketRx(config, context);
const packetTx = async (config: PacketConfig, context: PortContext) =>
  (await import("./packet/tx.js")).openPacketTx(config, context);

/** True where the first receiving thread has opened the port for this one, too. */
const isGuest = ({ receiver }: PortContext) => receiver?.share !== undefined && receiver.pattern !== "default";

/** Opens a port for sending. @throws ConfigError for what cannot be opened, or cannot be sent to */
export async function openTx(config: PortConfig, context: PortContext): Promise<TxPort> {
  switch (config.driver) {
    case "pcap":
      return (await import("./pcap/tx.js")).openCaptureTx(config.file, context);
    case "null":
      return openNullTx();
    case "generator":
      throw new ConfigError(`port ${context.name}`, "a generator makes packets, it takes none", "use it for --in");
    case "xdp":
      return openXdpTx(config, context);
    case "packet":
    case "mmsg":
      return packetTx(config, context);
    case "auto":
      if (context.lent !== undefined || bothWays.has(context.name)) return openXdpTx(config, context);
      return xdpOr(() => packetTx(config, context), config, context, { rx: false, tx: true });
  }
}

async function openXdpTx(config: XdpConfig, context: PortContext): Promise<TxPort> {
  const both = bothWays.get(context.name);
  if (both !== undefined) return both;
  if (context.lent !== undefined) return (await import("./xdp/lent.js")).openLent(context);
  return openInterface(config, context, { rx: false, tx: true });
}

/** AF_XDP, else what `packet` opens, and a line that says why. */
async function xdpOr<Port>(
  packet: () => Promise<Port>,
  config: PacketConfig,
  context: PortContext,
  use: { rx: boolean; tx: boolean },
): Promise<Port | (RxPort & TxPort)> {
  // An interface that is missing is missing for both.
  requireInterface(config.interface, `port ${context.name}`);
  // Of several receiving threads the first has decided.
  const taken = (context.receiver?.share as { driver: "xdp" | "packet" } | undefined)?.driver;
  if (taken === "packet") return packet();
  if (taken === "xdp") return openInterface(config, context, use);
  try {
    return await openInterface(config, context, use);
  } catch (error) {
    if (!(error instanceof RunError)) throw error;
    context.warn(`${error.message.split("\n")[0]}; AF_PACKET instead`);
    return packet();
  }
}

/** Ports of this thread that were opened for receiving and send, too, by name. */
const bothWays = new Map<string, RxPort & TxPort>();

async function openInterface(
  config: XdpConfig,
  context: PortContext,
  use: { rx: boolean; tx: boolean },
): Promise<RxPort & TxPort> {
  const { openXdp } = await import("./xdp/port.js");
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
