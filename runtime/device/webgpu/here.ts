/** The WebGPU adapters of this machine as another process finds them: a driver that crashes when it is asked ends that one. */
import { RunError } from "../../errors.js";
import { ask } from "../../native/ask.js";
import { PROGRAM } from "../../native/finding.js";
import type { AdapterFacts } from "./adapter.js";

/** @throws RunError where Dawn does not run here; without a driver it runs, and there are none */
export async function adaptersHere(): Promise<AdapterFacts[]> {
  const answer = await ask<AdapterFacts[]>(new URL("./probe.js", import.meta.url));
  if (!(answer instanceof Error)) return answer;
  const problem = answer.message.replace(/^webgpu: /, "");
  throw new RunError("webgpu", problem, `${PROGRAM} doctor says what is missing; or use another --device`);
}
