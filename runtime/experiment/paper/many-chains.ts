/** Measures cells of several chains: each by a runner of its own. */
import type { Cell, Load, Runner, Sample, Timing } from "../cell.js";

export class ManyChains implements Runner {
  private readonly runners = new Map<string, Runner>();

  /** @param open makes the runner of the chain that a cell names; once for each chain */
  constructor(private readonly open: (chain: string) => Runner) {}

  measure(cell: Cell, load: Load, timing: Timing, repeat: number): Promise<Sample> {
    const name = cell.chain;
    if (name === undefined) throw new Error("a cell of several chains says of which");
    let runner = this.runners.get(name);
    if (runner === undefined) {
      runner = this.open(name);
      this.runners.set(name, runner);
    }
    return runner.measure(cell, load, timing, repeat);
  }

  async close(): Promise<void> {
    await Promise.all([...this.runners.values()].map((runner) => runner.close()));
  }
}
