/** One cell of an experiment, in a process of its own: main.ts starts it and asks for it by name. */

import { preparePocl } from "../runtime/device/opencl/pocl.js";
import { type PlainError, RunError } from "../runtime/errors.js";
import { whyNoAdapter } from "./device/adapter.js";
import { whyNoDevice } from "./device/bed.js";
import type { Cell, CellOptions, CellResult } from "./experiment.js";
import { findExperiments } from "./find.js";
import { whyNoWires } from "./live/wires.js";

/** What main.ts sends. */
export interface CellRequest {
  readonly experiment: string;
  readonly cell: string;
  readonly options: Omit<CellOptions, "warn">;
}

/** What comes back, once. */
export type CellAnswer =
  | { readonly kind: "done"; readonly result: CellResult }
  | { readonly kind: "skipped"; readonly reason: string }
  | { readonly kind: "failed"; readonly error: PlainError };

async function answer({ experiment, cell, options }: CellRequest): Promise<CellAnswer> {
  try {
    const found = (await findExperiments()).find(({ name }) => name === experiment);
    const wanted: Cell | undefined = found?.cells(options.quick).find(({ name }) => name === cell);
    if (wanted === undefined)
      throw new RunError("bench", `there is no ${cell} of ${experiment}`, "report this as a bug");
    const why = await whyNot(wanted);
    if (why !== undefined) return { kind: "skipped", reason: `${experiment}: ${why}` };
    return { kind: "done", result: await wanted.run({ ...options, warn: (line) => console.error(line) }) };
  } catch (error) {
    const { name, message, stack } = error as Error;
    return { kind: "failed", error: { name, message, stack } };
  }
}

async function whyNot({ needs = "opencl", workgroups, anyDevice = false }: Cell): Promise<string | undefined> {
  if (needs === "wires") return whyNoWires();
  if (needs === "webgpu") return whyNoAdapter();
  // PoCL reads its environment when the first device is listed.
  preparePocl(workgroups);
  if (needs === "nothing") return undefined;
  return whyNoDevice(anyDevice);
}

// Who asked is gone: nobody wants the answer.
process.once("disconnect", () => process.exit(1));

process.once("message", (request: CellRequest) => {
  void answer(request).then((message) => {
    // A driver's threads may outlive their last use.
    process.send?.(message, () => process.exit(message.kind === "failed" ? 1 : 0));
  });
});
