/** What AF_XDP needs: rights, kernel, memory that may be locked, interfaces. */
import { release } from "node:os";
import { basename } from "node:path";
import { gunzipSync } from "node:zlib";
import { type Capability, hasCapability } from "./capabilities.js";
import type { Finding } from "./finding.js";
import type { SystemFiles } from "./system-files.js";

/** An arena of 16,384 slots of 2 KiB is locked as UMEM, and counts once for each socket: one to receive, one to send. */
const LOCKED_BYTES = 64 << 20;

const GRANT = `sudo setcap cap_net_raw,cap_net_admin,cap_bpf,cap_ipc_lock+ep ${process.execPath} (or run as root)`;

export function networkFindings(files: SystemFiles): Finding[] {
  return [rights(files), kernel(files), lockedMemory(files), interfaces(files)];
}

function rights(files: SystemFiles): Finding {
  const common = { area: "network", name: "AF_XDP rights" } as const;
  // The socket needs CAP_NET_RAW; map, program and link need the other two, or CAP_SYS_ADMIN instead.
  const needed: Capability[] = ["CAP_NET_RAW"];
  if (!hasCapability(files, "CAP_SYS_ADMIN")) needed.push("CAP_BPF", "CAP_NET_ADMIN");
  const lacking = needed.filter((name) => !hasCapability(files, name));
  if (lacking.length === 0) return { ...common, state: "ok", detail: "sockets and XDP programs are allowed" };
  return { ...common, state: "missing", detail: `this process lacks ${lacking.join(", ")}`, remedy: GRANT };
}

function kernel(files: SystemFiles): Finding {
  const common = { area: "network", name: "AF_XDP in the kernel" } as const;
  const config = kernelConfig(files);
  if (config === undefined) {
    const detail = `Linux ${release()} does not show its configuration; whether it has AF_XDP shows when a port opens`;
    return { ...common, state: "limited", detail };
  }
  const lacking = ["CONFIG_XDP_SOCKETS", "CONFIG_BPF_SYSCALL"].filter((key) => !config.includes(`\n${key}=y`));
  if (lacking.length === 0) return { ...common, state: "ok", detail: `Linux ${release()} has it` };
  const remedy = `use a kernel built with ${lacking.map((key) => `${key}=y`).join(" and ")}, or the AF_PACKET driver`;
  return { ...common, state: "missing", detail: `Linux ${release()} was built without it`, remedy };
}

function kernelConfig(files: SystemFiles): string | undefined {
  const plain = files.text(`/boot/config-${release()}`);
  if (plain !== undefined) return `\n${plain}`;
  const packed = files.bytes("/proc/config.gz");
  if (packed === undefined) return undefined;
  try {
    return `\n${gunzipSync(packed).toString("latin1")}`;
  } catch {
    return undefined;
  }
}

function lockedMemory(files: SystemFiles): Finding {
  const common = { area: "network", name: "memory lock limit" } as const;
  const limits = files.text("/proc/self/limits") ?? "";
  const soft = /^Max locked memory\s+(\S+)/m.exec(limits)?.[1];
  if (soft === undefined) return { ...common, state: "limited", detail: "/proc/self/limits cannot be read" };
  if (soft === "unlimited") return { ...common, state: "ok", detail: "unlimited" };
  const detail = `${(Number(soft) / (1 << 20)).toFixed(0)} MiB`;
  if (hasCapability(files, "CAP_IPC_LOCK"))
    return { ...common, state: "ok", detail: `${detail}, lifted by CAP_IPC_LOCK` };
  if (Number(soft) >= LOCKED_BYTES) return { ...common, state: "ok", detail };
  return {
    ...common,
    state: "limited",
    detail: `${detail}: AF_XDP ports of one queue in and one out need ${LOCKED_BYTES >> 20} MiB`,
    remedy:
      "sudo prlimit --pid $$ --memlock=unlimited:unlimited (this shell), or a memlock line in /etc/security/limits.conf",
  };
}

function interfaces(files: SystemFiles): Finding {
  const folder = "/sys/class/net";
  const names = files.list(folder).filter((name) => name !== "lo" && files.exists(`${folder}/${name}/mtu`));
  const common = { area: "network", name: "interfaces" } as const;
  if (names.length === 0) {
    const remedy = "captures work without one; for a virtual wire: sudo ip link add wing0 type veth peer name wing1";
    return { ...common, state: "missing", detail: "none but lo", remedy };
  }
  const described = names.map((name) => {
    const driver = files.link(`${folder}/${name}/device/driver`);
    const queues = files.list(`${folder}/${name}/queues`).filter((queue) => queue.startsWith("rx-")).length;
    const parts = [driver === undefined ? "virtual" : basename(driver), `${queues} rx queue${queues === 1 ? "" : "s"}`];
    return `${name} (${parts.join(", ")}, mtu ${files.text(`${folder}/${name}/mtu`)})`;
  });
  return { ...common, state: "ok", detail: described.join(", ") };
}
