/** CPU, scheduling and waiting of each thread of a run, checked against the machine before any starts. */
import { ConfigError } from "../errors.js";
import { cpuListText } from "../native/cpu-list.js";
import { usableCpus } from "../native/cpus.js";
import { affinity, isRealTime, type SchedSpec } from "../native/sched.js";
import { SystemFiles } from "../native/system-files.js";
import type { ByRole } from "./by-role.js";
import { CORE_ROLES, type CoreRole, type CoreSpec } from "./core-spec.js";
import { type WaitPolicy, waitOf } from "./plan.js";

/** What a thread of a run is to be; plain data. */
export interface ThreadPlan {
  readonly role: CoreRole;
  /** Undefined: the system chooses. */
  readonly cpu: number | undefined;
  /** Undefined: as the process is scheduled. */
  readonly sched: SchedSpec | undefined;
  readonly wait: WaitPolicy;
}

/** What options say of threads. */
export interface ThreadOptions {
  readonly cores: CoreSpec;
  readonly sched?: ByRole<SchedSpec> | undefined;
  readonly wait: ByRole<WaitPolicy>;
}

/** As much of a machine as matters here; tests give another. */
export interface Machine {
  /** CPUs of this thread's affinity mask, which main has to run on. */
  readonly mask: readonly number[];
  /** CPUs that threads may be pinned to. */
  readonly usable: readonly number[];
  /** us of each second for real-time classes (/proc/sys/kernel/sched_rt_runtime_us); -1: all. */
  readonly realTimeUs: number;
}

export function thisMachine(files = new SystemFiles()): Machine {
  const mask = affinity();
  return { mask, usable: usableCpus(files, mask), realTimeUs: files.number(REAL_TIME_SHARE) ?? -1 };
}

const REAL_TIME_SHARE = "/proc/sys/kernel/sched_rt_runtime_us";

/** @throws ConfigError for a CPU that threads cannot be pinned to */
export function checkCpus({ cpus }: CoreSpec, { usable }: Pick<Machine, "usable"> = thisMachine()): void {
  for (const cpu of CORE_ROLES.flatMap((role) => cpus?.[role] ?? [])) {
    if (usable.includes(cpu)) continue;
    const problem = `CPU ${cpu} is not there, or not for this process`;
    throw new ConfigError("--cores", problem, `those it may use: ${cpuListText(usable)} (taskset -c changes that)`);
  }
}

/**
 * @param roles of the threads that the topology has
 * @param warn told what has nothing to act on, and what may starve the machine
 * @throws ConfigError for a CPU that is not there, and where real-time threads would leave none to anything else
 */
export function planThreads(
  roles: readonly CoreRole[],
  { cores, sched = {}, wait }: ThreadOptions,
  machine: Machine,
  warn: (line: string) => void,
): ThreadPlan[] {
  checkCpus(cores, machine);
  const dealt = { io: 0, nf: 0, sync: 0 };
  const threads = roles.map((role): ThreadPlan => {
    const cpu = cores.cpus?.[role][dealt[role]++];
    return { role, cpu, sched: sched[role], wait: waitOf({ wait }, role) };
  });
  sayIdle("--sched", sched, roles, warn);
  sayIdle("--wait", wait, roles, warn);
  checkRealTime(threads, machine, warn);
  return threads;
}

/** Where all roles are named the user has meant whatever there is. */
function sayIdle(
  option: string,
  values: ByRole<unknown>,
  roles: readonly CoreRole[],
  warn: (line: string) => void,
): void {
  const named = CORE_ROLES.filter((role) => values[role] !== undefined);
  if (named.length === CORE_ROLES.length) return;
  for (const role of named) if (!roles.includes(role)) warn(`${option} ${role}=: this run has no ${role} core`);
}

/**
 * A real-time thread with work, or one that spins, lets nothing of the ordinary classes run on its CPU but for the share the kernel keeps
 * back, if it does: neither main, which hears of Ctrl-C, nor the kernel's own threads. So one CPU has to be left to those.
 */
function checkRealTime(threads: readonly ThreadPlan[], machine: Machine, warn: (line: string) => void): void {
  const realTime = threads.filter(({ sched }) => sched !== undefined && isRealTime(sched.class));
  if (realTime.length === 0) return;
  const pinned = realTime.flatMap(({ cpu }) => (cpu === undefined ? [] : [cpu]));
  const free = machine.mask.filter((cpu) => !pinned.includes(cpu)).length - (realTime.length - pinned.length);
  if (free < 1) {
    const problem = `${realTime.length} threads of class fifo or rr leave none of the CPUs ${cpuListText(machine.mask)} to this program's main thread and to the kernel's work: the machine could hang`;
    throw new ConfigError("--sched", problem, "use fewer cores, or the class batch with a negative nice: batch:-10");
  }
  const whole = machine.realTimeUs < 0;
  const polling = realTime.filter(({ wait }) => wait === "spin" || wait === "yield");
  if (polling.length > 0 && whole) {
    const problem = `class fifo or rr with --wait ${polling[0]!.wait}, and the kernel keeps no time back from such threads (kernel.sched_rt_runtime_us is -1)`;
    const remedy = "use --wait adaptive, or: sudo sysctl -w kernel.sched_rt_runtime_us=950000";
    throw new ConfigError("--sched", problem, remedy);
  }
  if (polling.length > 0) {
    warn(
      `--sched: fifo and rr threads that ${polling[0]!.wait} leave their CPU to nothing else, the kernel's work there included, but for what sched_rt_runtime_us (${machine.realTimeUs}) leaves of each second; --wait adaptive sleeps when idle`,
    );
  } else if (whole) {
    warn(
      "--sched: kernel.sched_rt_runtime_us is -1: on the CPU of a fifo or rr thread that is never idle nothing else runs",
    );
  }
}
