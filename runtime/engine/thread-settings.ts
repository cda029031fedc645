/** Makes the calling thread what its plan says: where it runs, how it is scheduled, how exactly it sleeps. */
import { RunError } from "../errors.js";
import {
  affinity,
  reschedule,
  type Scheduling,
  schedule,
  scheduling,
  setAffinity,
  setTimerSlack,
} from "../native/sched.js";
import { lackOfRight } from "../native/sched-rights.js";
import { SystemFiles } from "../native/system-files.js";
import type { ThreadPlan } from "./thread-plan.js";

/** A sleep of microseconds is to last microseconds. */
const SLACK_NS = 1000;

/** What was applied, as the system says. */
export interface ThreadSettings {
  /** Null where it is not pinned. */
  readonly cpu: number | null;
  readonly class: string;
  readonly priority: number;
  readonly nice: number;
}

/** The settings of a thread, while it works. */
export class AppliedSettings {
  private readonly cpus: readonly number[];
  private readonly before: Scheduling;

  /** @throws RunError with the remedy where a right is missing; the thread is then what it was */
  constructor(
    private readonly thread: number,
    private readonly plan: ThreadPlan,
  ) {
    this.cpus = affinity();
    this.before = scheduling();
    setTimerSlack(SLACK_NS);
    try {
      this.apply();
    } catch (error) {
      this.restore();
      throw error;
    }
  }

  private apply(): void {
    const { cpu, sched, role } = this.plan;
    const where = `thread ${this.thread} (${role})`;
    if (cpu !== undefined) {
      const errno = setAffinity([cpu]);
      if (errno !== 0) {
        const problem = `cannot be pinned to CPU ${cpu} (errno ${errno}): a control group (cpuset.cpus) may keep it from this process`;
        throw new RunError(where, problem, "name another CPU, or start it outside of that group");
      }
    }
    if (sched === undefined) return;
    const errno = schedule(sched);
    if (errno !== 0) {
      const { problem, remedy } = lackOfRight(new SystemFiles(), sched, errno);
      throw new RunError(where, problem, remedy);
    }
  }

  describe(): ThreadSettings {
    return { cpu: this.plan.cpu ?? null, ...scheduling() };
  }

  /** What follows a thread's work, closing files above all, has no business at a real-time priority. Idempotent. */
  restore(): void {
    const { cpu, sched } = this.plan;
    if (sched !== undefined) reschedule(this.before);
    if (cpu !== undefined) setAffinity(this.cpus);
  }
}
