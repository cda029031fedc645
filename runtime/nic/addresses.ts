/** Addresses of the gateway itself, by port: where ICMP messages of its own come from. */
import ipaddr from "ipaddr.js";
import { z } from "zod";
import { broadcastsIn, broadcastsOf, ipv4Of, ipv6Of } from "./net/interface.js";

/** What no single host has (RFC 1122 section 3.2.1.3, RFC 4291 section 2.4). */
const isHost = (text: string): boolean => {
  const octets = ipaddr.parse(text).toByteArray();
  const first = octets[0]!;
  if (octets.length === 4) return first !== 0 && first !== 127 && first < 224;
  const leading = octets.findIndex((octet) => octet !== 0);
  const mapped = leading === 10 && octets[10] === 255 && octets[11] === 255;
  return first !== 255 && !mapped && leading >= 0 && (leading < 15 || octets[15]! > 1);
};

const ADDRESS4 = z.ipv4();
const PREFIX_LENGTH = /\/(?:[0-9]|[12][0-9]|3[0-2])$/;

/** The address without the prefix length of its network. */
export function hostOf(address: string): string {
  return address.replace(PREFIX_LENGTH, "");
}

/** Those of the network of an address with a prefix length. */
function broadcastsBy(address: string): number[] {
  const length = PREFIX_LENGTH.exec(address)?.[0].slice(1);
  if (length === undefined) return [];
  return broadcastsIn(numberOf(address), length === "0" ? 0 : (-1 << (32 - Number(length))) >>> 0);
}

function numberOf(address: string): number {
  const [a, b, c, d] = ipaddr.parse(hostOf(address)).toByteArray();
  return ((a! << 24) | (b! << 16) | (c! << 8) | d!) >>> 0;
}

const isBroadcast = (address: string) => broadcastsBy(address).includes(numberOf(address));

/** Keys of a port that can receive and send. */
export const addressKeys = {
  address: z
    .string()
    .refine((text) => ADDRESS4.safeParse(text.replace(PREFIX_LENGTH, "")).success, {
      message: "an IPv4 address, with the prefix length of its network or without: 192.0.2.1/24",
      abort: true,
    })
    .refine((text) => isHost(hostOf(text)) && !isBroadcast(text), "an address that one host can have")
    .optional()
    .describe(
      "IPv4 address that ICMP messages of the gateway come from, with the prefix length of its network (192.0.2.1/24) or without; default: the interface's own",
    ),
  address6: z
    .ipv6({ abort: true })
    .refine(isHost, "an address that one host can have")
    .optional()
    .describe(
      "IPv6 address that ICMPv6 messages of the gateway come from; default: the interface's own, of global scope",
    ),
  icmp: z.boolean().optional().describe("false: no ICMP messages of the gateway by this port; default true"),
};

export interface AddressConfig {
  readonly interface: string;
  readonly address?: string | undefined;
  readonly address6?: string | undefined;
  readonly icmp?: boolean | undefined;
}

export interface PortAddresses {
  /** 4 octets. */
  readonly ipv4: readonly number[] | undefined;
  /** 16 octets. */
  readonly ipv6: readonly number[] | undefined;
}

/** As given, else those that the interface has now, in this network namespace. */
export function addressesOf(config: AddressConfig): PortAddresses {
  const octets = (text: string | undefined) => (text === undefined ? undefined : ipaddr.parse(text).toByteArray());
  if (config.icmp === false) return { ipv4: undefined, ipv6: undefined };
  return {
    ipv4: octets(config.address === undefined ? ipv4Of(config.interface) : hostOf(config.address)),
    ipv6: octets(config.address6 ?? ipv6Of(config.interface)),
  };
}

/** IPv4 addresses, as numbers, that stand for all hosts of the port's networks: those of its interface, and that of the key `address`. */
export function broadcastsAt(config: AddressConfig): readonly number[] {
  return [...new Set([...broadcastsOf(config.interface), ...broadcastsBy(config.address ?? "")])];
}

/** As people write it. */
export function addressText(octets: readonly number[]): string {
  return ipaddr.fromByteArray([...octets]).toString();
}
