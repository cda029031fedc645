/** What `check` says of ICMP messages of the gateway's own: by which ports they leave, and why not by others. */
import type { LoadedPort } from "../chain/load.js";
import { addressText } from "../nic/addresses.js";
import { isLive } from "../nic/drivers.js";
import { findInterface } from "../nic/net/interface.js";

/** Of a port that receives. */
export interface IcmpCheck {
  readonly port: string;
  /** Where messages come from; null: there are none, for the reason in `why`. */
  readonly address: string | null;
  readonly address6: string | null;
  readonly why: string | null;
}

export function icmpOf(ports: readonly LoadedPort[]): IcmpCheck[] {
  return ports
    .filter((port) => port.rx)
    .map((port) => {
      const { ipv4, ipv6 } = port.addresses ?? {};
      const text = (octets: readonly number[] | undefined) => (octets === undefined ? null : addressText(octets));
      return { port: port.name, address: text(ipv4), address6: text(ipv6), why: whyNot(port) };
    });
}

function whyNot({ config, tx, addresses }: LoadedPort): string | null {
  if (!isLive(config)) return `a ${config.driver} port does not send`;
  if (!tx) return 'it does not send; "dir": "both" lets it';
  if (config.icmp === false) return '"icmp" is false';
  if (findInterface(config.interface) === undefined && config.address === undefined && config.address6 === undefined) {
    return `${config.interface} is not here to be asked for its addresses ("address" and "address6" name others)`;
  }
  const lacks = [
    ...(addresses?.ipv4 === undefined ? ['no IPv4 address ("address")'] : []),
    ...(addresses?.ipv6 === undefined ? ['no IPv6 address ("address6")'] : []),
  ];
  return lacks.length === 0 ? null : `${config.interface} has ${lacks.join(" and ")}`;
}

export function icmpLine({ port, address, address6, why }: IcmpCheck): string {
  const from = [address, address6].filter((one) => one !== null);
  const because = why === null ? "" : `; ${why}`;
  return `icmp: ${port} -> ${from.length === 0 ? "none" : `from ${from.join(" and ")}`}${because}`;
}
