/** Rights of this process that root has by itself (capabilities(7)). */
import type { SystemFiles } from "./system-files.js";

/** Bit numbers of linux/capability.h. */
const CAPABILITIES = {
  CAP_NET_ADMIN: 12,
  CAP_NET_RAW: 13,
  CAP_IPC_LOCK: 14,
  CAP_SYS_ADMIN: 21,
  CAP_SYS_NICE: 23,
  CAP_BPF: 39,
} as const;
export type Capability = keyof typeof CAPABILITIES;

/** True where this process has it in effect. */
export function hasCapability(files: SystemFiles, name: Capability): boolean {
  const text = files.field("/proc/self/status", "CapEff");
  const bits = text !== undefined && /^[0-9a-f]+$/i.test(text) ? BigInt(`0x${text}`) : 0n;
  return ((bits >> BigInt(CAPABILITIES[name])) & 1n) === 1n;
}
