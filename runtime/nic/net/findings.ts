/** What live ports care for in the interfaces that are here, with the ethtool lines that change it; for the doctor. */
import { existsSync } from "node:fs";
import type { Finding } from "../../native/finding.js";
import { ethtoolValue, interfaceNames, ringSizes } from "./interface.js";

/** linux/ethtool.h: what asks for a value, and the bit of the answer. */
const GRO = { command: 0x2b, bit: 1 } as const;
const LRO = { command: 0x25, bit: 1 << 15 } as const;
const RXVLAN = { command: 0x25, bit: 1 << 8 } as const;

/** Containers' machines have hundreds. */
const MOST = 16;

export function interfaceFindings(): Finding[] {
  return interfaceNames().slice(0, MOST).flatMap(describe);
}

/** Undefined where the driver does not say. */
function isOn(name: string, { command, bit }: { readonly command: number; readonly bit: number }): boolean | undefined {
  const value = ethtoolValue(name, command);
  return value === undefined ? undefined : (value & bit) !== 0;
}

/**
 * True where a network card takes VLAN tags out of the frames it receives and keeps them beside: AF_XDP has the frames alone. Virtual wires
 * say so, too, and do not do it.
 */
export function takesTagsOut(name: string): boolean {
  return existsSync(`/sys/class/net/${name}/device`) && isOn(name, RXVLAN) === true;
}

function describe(name: string): Finding[] {
  const common = { area: "network", name: `${name} for live traffic` } as const;
  const offloads = { gro: isOn(name, GRO), lro: isOn(name, LRO) };
  const rings = ringSizes(name);
  const known = Object.entries(offloads).filter(([, state]) => state !== undefined);
  if (known.length === 0 && rings === undefined) return [];
  const parts = known.map(([offload, state]) => `${offload} ${state ? "on" : "off"}`);
  if (rings !== undefined) parts.push(`rx ring ${rings.rx} of at most ${rings.rxMost}`);
  const lines: string[] = [];
  const joining = known.filter(([, state]) => state).map(([offload]) => `${offload} off`);
  if (joining.length > 0) lines.push(`sudo ethtool -K ${name} ${joining.join(" ")}`);
  if (rings !== undefined && rings.rx < rings.rxMost) lines.push(`sudo ethtool -G ${name} rx ${rings.rxMost}`);
  const tags = takesTagsOut(name);
  if (tags) {
    parts.push("rxvlan on");
    lines.push(`sudo ethtool -K ${name} rxvlan off`);
  }
  const detail = parts.join(", ");
  if (lines.length === 0) return [{ ...common, state: "ok", detail }];
  const why = joining.length > 0 ? "; packets joined to longer ones do not fit in a slot" : "";
  const without = tags ? "; by AF_XDP VLAN tags taken out are lost" : "";
  return [{ ...common, state: "limited", detail: `${detail}${why}${without}`, remedy: lines.join("; ") }];
}
