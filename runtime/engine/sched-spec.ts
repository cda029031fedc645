/** What `--sched` says: class, priority and nice of threads, by role (papers: Katsikas et al., "SCC", 5.2, Table 6). */
import { ConfigError } from "../errors.js";
import { isRealTime, SCHED_CLASSES, type SchedClass, type SchedSpec } from "../native/sched.js";
import { type ByRole, parseByRole } from "./by-role.js";

/** Goes before every thread of the ordinary classes, and behind the kernel's own real-time threads. */
const USUAL_PRIORITY = 1;

/** "batch", "io=fifo:50,nf=batch:-5": CLASS[:PRIORITY] for rr and fifo, CLASS[:NICE] for other and batch. @throws ConfigError */
export function parseSched(text: string): ByRole<SchedSpec> {
  return parseByRole("--sched", text, parseClass);
}

function parseClass(text: string): SchedSpec {
  const [name, number, ...more] = text.split(":");
  const names = Object.keys(SCHED_CLASSES) as SchedClass[];
  const found = names.find((one) => one === name);
  if (found === undefined || more.length > 0) {
    const problem = `found "${text}"; classes are ${names.join(", ")}`;
    throw new ConfigError(
      "--sched",
      problem,
      "write CLASS[:NUMBER], or ROLE=CLASS[:NUMBER],...: io=fifo:50,nf=batch:-5",
    );
  }
  const realTime = isRealTime(found);
  const [least, most, what] = realTime ? [1, 99, "a priority"] : [-20, 19, "a nice value"];
  const value = number !== undefined && /^-?\d+$/.test(number) ? Number(number) : Number.NaN;
  if (number !== undefined && !(value >= least && value <= most)) {
    throw new ConfigError("--sched", `"${text}": ${found} takes ${what} from ${least} to ${most}`);
  }
  if (realTime) return { class: found, priority: number === undefined ? USUAL_PRIORITY : value };
  return number === undefined ? { class: found } : { class: found, nice: value };
}
