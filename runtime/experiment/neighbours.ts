/**
 * What else took processor time while an experiment ran: other processes of this machine, and other virtual machines of its host. The load
 * average would count the experiment's own threads.
 */
import type { SystemFiles } from "../native/system-files.js";

/** Shares of the machine's time above which figures are called disturbed. */
const MOST_OTHERS = 0.05;
const MOST_STOLEN = 0.02;
/** Shorter than that says nothing: seconds of processor time. */
const LEAST_SECONDS = 0.5;

/** Seconds of processor time since the machine started, over all cores. */
interface Times {
  readonly all: number;
  readonly busy: number;
  /** Taken by the host for somebody else. */
  readonly stolen: number;
  /** This process's and its children's. */
  readonly own: number;
}

export class Neighbours {
  private readonly before: Times | undefined;

  constructor(private readonly files: SystemFiles) {
    this.before = read(files);
  }

  /** What there is to say of the time since it was made; nothing where the machine was ours, or does not say. */
  lines(): string[] {
    const { before } = this;
    const after = read(this.files);
    if (before === undefined || after === undefined) return [];
    const all = after.all - before.all;
    if (all < LEAST_SECONDS) return [];
    const others = (after.busy - before.busy - (after.own - before.own)) / all;
    const stolen = (after.stolen - before.stolen) / all;
    const lines: string[] = [];
    if (others > MOST_OTHERS) {
      lines.push(
        `noisy machine: other processes took ${percent(others)} of its processor time meanwhile; end them and measure again`,
      );
    }
    if (stolen > MOST_STOLEN) {
      lines.push(`noisy machine: its host gave ${percent(stolen)} of its processor time to other virtual machines`);
    }
    return lines;
  }
}

const percent = (share: number): string => `${Math.round(100 * share)} %`;

/** USER_HZ, which the kernel gives to user space as 100 on every architecture Node runs on. */
const TICKS = 100;

/** proc(5), /proc/stat: user nice system idle iowait irq softirq steal, in ticks. Guests' time is within user and nice. */
function read(files: SystemFiles): Times | undefined {
  const line = /^cpu\s+(.*)$/m.exec(files.text("/proc/stat") ?? "")?.[1];
  const [user, nice, system, idle, wait, irq, soft, stolen = 0] = (line ?? "")
    .split(/\s+/)
    .map((n) => Number(n) / TICKS);
  if (soft === undefined) return undefined;
  const busy = user! + nice! + system! + irq! + soft;
  // Field 14 and so on of /proc/self/stat: utime, stime, and those of children that have ended.
  const stat = files.text("/proc/self/stat") ?? "";
  const own = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 15)
    .map((n) => Number(n) / TICKS);
  return { all: busy + idle! + wait! + stolen, busy, stolen, own: own.reduce((sum, n) => sum + n, 0) };
}
