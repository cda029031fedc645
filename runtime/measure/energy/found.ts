/** What a look at the machine finds of one kind of meter: doctor shows it, `--meter` opens it. */
import { RunError } from "../../errors.js";
import type { Finding } from "../../native/finding.js";
import type { Clock, Coverage, Source } from "./source.js";

export interface OpenOptions {
  readonly clock: Clock;
  /** Lets so many ms pass. */
  readonly wait: (ms: number) => Promise<void>;
  /** Other meters will be added to this one: it must not count what they may. */
  readonly shared: boolean;
}

export interface FoundMeter {
  readonly finding: Finding;
  /** Empty where there is nothing to open. */
  readonly covers: readonly Coverage[];
  /** @throws RunError where it does not answer, which `finding` may have said */
  open(options: OpenOptions): Promise<Source>;
}

/** A kind of meter that this machine does not have. */
export function missingMeter(finding: Finding): FoundMeter {
  const { name, detail, remedy } = finding;
  return { finding, covers: [], open: () => Promise.reject(new RunError(`--meter: ${name}`, detail, remedy)) };
}
