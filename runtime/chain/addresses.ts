/** Whether the addresses that ports are given for ICMP messages of the gateway make sense together. */
import ipaddr from "ipaddr.js";
import { ConfigError } from "../errors.js";
import { hostOf } from "../nic/addresses.js";
import { isLive, type LiveConfig } from "../nic/drivers.js";
import type { LoadedPort } from "./load.js";

const KEYS = ["address", "address6"] as const;

/** @throws ConfigError where an address is given and cannot be used, or is given twice */
export function checkAddresses(file: string, ports: readonly LoadedPort[], warn: (line: string) => void): void {
  const holders = new Map<string, { port: string; device: string }>();
  for (const port of ports) {
    const { config } = port;
    if (!isLive(config)) continue;
    for (const key of KEYS) checkKey(`${file}: ports.${port.name}.${key}`, port, config, key, holders, warn);
  }
}

function checkKey(
  where: string,
  { name, rx, tx }: LoadedPort,
  config: LiveConfig,
  key: (typeof KEYS)[number],
  holders: Map<string, { port: string; device: string }>,
  warn: (line: string) => void,
): void {
  const address = config[key];
  if (address === undefined) return;
  if (config.icmp === false) {
    throw new ConfigError(where, "is where ICMP messages come from, and `icmp` is false", "remove one of the two");
  }
  // Ports may share an interface, queue by queue, and its address with it.
  const text = ipaddr.parse(hostOf(address)).toString();
  const other = holders.get(text);
  if (other !== undefined && other.device !== config.interface) {
    const problem = `port ${other.port} on ${other.device} has the address ${text} as well`;
    throw new ConfigError(where, problem, "give each the address the gateway has on that interface");
  }
  holders.set(text, { port: name, device: config.interface });
  if (!rx || !tx)
    warn(`${where}: no message comes from it, since the port ${tx ? "does not receive" : "does not send"}`);
}
