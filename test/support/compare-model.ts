/** `compare` on a model instead of a chain: support/compare-child.ts. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as assert from "uvu/assert";
import type { CompareResult } from "../../runtime/experiment/compare-result.js";
import { type Finished, gateway, ROOT } from "../chain-support.js";

export const CHILD = join(ROOT, "dist", "test", "support", "compare-child.js");
export const FILES = gateway(500);
/** Four NFs that can be on a GPU are more than these tests need. */
export const SMALL = ["--placements", "nids,router", "--sizes", "64,1472", "--meter", "none", "--seed", "3"];

/** @param fake options of the model */
export function compare(cwd: string, args: readonly string[], fake: object = {}): Finished {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CHILD, "compare", "chain.json", ...args], {
    ...{ cwd, encoding: "utf8", timeout: 60_000 },
    env: { ...process.env, FAKE: JSON.stringify(fake) },
  });
  assert.not.match(stderr, /^\s+at /m);
  return { code: status, stdout, stderr };
}

export function resultOf(cwd: string, file = "r.json"): CompareResult {
  return JSON.parse(readFileSync(join(cwd, file), "utf8")) as CompareResult;
}
