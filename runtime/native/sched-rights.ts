/** Rights and settings of the system that real-time classes, nice values and pinned CPUs depend on; for the doctor, and for errors. */
import { type Capability, hasCapability } from "./capabilities.js";
import { cpuListText } from "./cpu-list.js";
import { cpusIn, isolatedCpus } from "./cpus.js";
import type { Finding } from "./finding.js";
import { isRealTime, type SchedSpec } from "./sched.js";
import type { SystemFiles } from "./system-files.js";

const RIGHT: Capability = "CAP_SYS_NICE";
/** Of sched_setscheduler(2), and of setpriority(2). */
const EPERM = 1;
const EACCES = 13;
/** setcap replaces what a file has: the network's capabilities stay with it. */
const GRANT = `sudo setcap cap_sys_nice,cap_net_raw,cap_net_admin,cap_bpf,cap_ipc_lock+ep ${process.execPath}`;
const REAL_TIME_GROUPS = "sudo sysctl -w kernel.sched_rt_runtime_us=950000, or boot with rt_group_sched=0";

export function schedulingFindings(files: SystemFiles): Finding[] {
  return [realTime(files), niceness(files), realTimeShare(files), isolated(files), tickless(files)];
}

/** Why the system refuses a class, priority or nice value, and what lifts that. */
export function lackOfRight(
  files: SystemFiles,
  { class: name, priority = 0, nice = 0 }: SchedSpec,
  errno: number,
): { problem: string; remedy: string } {
  const what = isRealTime(name) ? `the class ${name} with priority ${priority}` : `the class ${name} with nice ${nice}`;
  if (errno !== EPERM && errno !== EACCES)
    return { problem: `the system refuses ${what}: errno ${errno}`, remedy: "use another class" };
  if (hasCapability(files, RIGHT)) {
    const problem = `the system refuses ${what} in spite of ${RIGHT}: its control group has no real-time budget (RT group scheduling)`;
    return {
      problem,
      remedy: `run it in the root control group (cgroup v1: cpu.rt_runtime_us), or: ${REAL_TIME_GROUPS}`,
    };
  }
  const limit = isRealTime(name) ? realTimeLimit(files) : leastNice(files);
  const allowed = isRealTime(name) ? `priorities up to ${limit}` : `nice values from ${limit} on`;
  const problem = `${what} needs ${RIGHT}; this process may use ${allowed}`;
  return { problem, remedy: raiseLimit(isRealTime(name) ? "rtprio" : "nice", isRealTime(name) ? priority : 20 - nice) };
}

function raiseLimit(limit: "rtprio" | "nice", value: number): string {
  return `sudo prlimit --pid $$ --${limit}=${value}:${value} (this shell), or ${GRANT}`;
}

/** Soft limit of a line of /proc/self/limits. */
function limitOf(files: SystemFiles, name: string): number {
  const soft = new RegExp(`^${name}\\s+(\\S+)`, "m").exec(files.text("/proc/self/limits") ?? "")?.[1];
  if (soft === "unlimited") return Number.POSITIVE_INFINITY;
  const value = Number(soft);
  return Number.isInteger(value) ? value : 0;
}

const realTimeLimit = (files: SystemFiles): number => Math.min(99, limitOf(files, "Max realtime priority"));
/** The limit counts from 20, which is nice 0, to 40, which is -20 (getrlimit(2), RLIMIT_NICE). */
const leastNice = (files: SystemFiles): number => Math.max(-20, Math.min(0, 20 - limitOf(files, "Max nice priority")));

function realTime(files: SystemFiles): Finding {
  const common = { area: "cpu", name: "real-time classes" } as const;
  if (hasCapability(files, RIGHT)) return { ...common, state: "ok", detail: "fifo and rr are allowed (--sched)" };
  const limit = realTimeLimit(files);
  if (limit >= 99) return { ...common, state: "ok", detail: "fifo and rr are allowed by the limit rtprio (--sched)" };
  const remedy = raiseLimit("rtprio", 99);
  if (limit > 0)
    return { ...common, state: "limited", detail: `fifo and rr up to priority ${limit} (--sched)`, remedy };
  return { ...common, state: "missing", detail: `fifo and rr need ${RIGHT} or the limit rtprio (--sched)`, remedy };
}

function niceness(files: SystemFiles): Finding {
  const common = { area: "cpu", name: "negative nice" } as const;
  if (hasCapability(files, RIGHT)) return { ...common, state: "ok", detail: "allowed (--sched)" };
  const least = leastNice(files);
  if (least <= -20) return { ...common, state: "ok", detail: "allowed by the limit nice (--sched)" };
  const remedy = raiseLimit("nice", 40);
  if (least < 0) return { ...common, state: "limited", detail: `nice values from ${least} on (--sched)`, remedy };
  return { ...common, state: "missing", detail: `needs ${RIGHT} or the limit nice (--sched)`, remedy };
}

function realTimeShare(files: SystemFiles): Finding {
  const common = { area: "cpu", name: "real-time share" } as const;
  const runtime = files.number("/proc/sys/kernel/sched_rt_runtime_us");
  const period = files.number("/proc/sys/kernel/sched_rt_period_us");
  const remedy = "sudo sysctl -w kernel.sched_rt_runtime_us=950000";
  if (runtime === undefined || period === undefined) {
    return { ...common, state: "limited", detail: "/proc/sys/kernel/sched_rt_runtime_us cannot be read" };
  }
  if (runtime === 0) return { ...common, state: "missing", detail: "0: fifo and rr threads never run", remedy };
  if (runtime < 0) {
    const detail = "-1: a fifo or rr thread that never sleeps lets nothing else run on its CPU";
    return { ...common, state: "limited", detail, remedy };
  }
  const detail = `fifo and rr threads have ${runtime / 1000} of every ${period / 1000} ms of a CPU that others want`;
  return { ...common, state: "ok", detail };
}

/** All but the first of the machine's CPUs, where there are enough of them to set some apart; else none. */
function apart(files: SystemFiles): string | undefined {
  const online = cpusIn(files, "/sys/devices/system/cpu/online");
  return online.length < 3 ? undefined : cpuListText(online.slice(1));
}

function isolated(files: SystemFiles): Finding {
  const common = { area: "cpu", name: "isolated CPUs" } as const;
  const cpus = isolatedCpus(files);
  if (cpus.length > 0) return { ...common, state: "ok", detail: `${cpuListText(cpus)} (--cores can name them)` };
  const list = apart(files);
  if (list === undefined) return { ...common, state: "ok", detail: "none; there are too few CPUs to set any apart" };
  const detail = "none: other programs run on every CPU, too";
  return { ...common, state: "limited", detail, remedy: `boot with isolcpus=managed_irq,domain,${list}` };
}

function tickless(files: SystemFiles): Finding {
  const common = { area: "cpu", name: "CPUs without a tick" } as const;
  const cpus = cpusIn(files, "/sys/devices/system/cpu/nohz_full");
  if (cpus.length > 0) return { ...common, state: "ok", detail: `${cpuListText(cpus)} (nohz_full)` };
  const list = apart(files);
  if (list === undefined)
    return { ...common, state: "ok", detail: "none; there are too few CPUs to spare any the tick" };
  const detail = "none: the timer tick interrupts each thread some 100 to 1000 times a second";
  return { ...common, state: "limited", detail, remedy: `boot with nohz_full=${list} rcu_nocbs=${list}` };
}
