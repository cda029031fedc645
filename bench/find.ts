/** Finds benchmarks and experiments: nothing is registered by hand. */
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Experiment } from "./experiment.js";
import type { Bench } from "./harness.js";

const here = dirname(fileURLToPath(import.meta.url));
/** Folders beside this file with experiments in them. */
const GROUPS = ["device", "engine", "live"];
/** Programs: loading them would run them. */
const PROGRAMS = ["main.js", "cell.js"];

async function exportsOf<T>(folder: string, name: string): Promise<T[]> {
  const found: T[] = [];
  for (const file of readdirSync(folder).sort()) {
    if (!file.endsWith(".js") || PROGRAMS.includes(file)) continue;
    const module = (await import(pathToFileURL(join(folder, file)).href)) as Record<string, readonly T[] | undefined>;
    found.push(...(module[name] ?? []));
  }
  return found;
}

/** In the order of their files' names. */
export function findBenches(): Promise<Bench[]> {
  return exportsOf<Bench>(here, "benches");
}

export async function findExperiments(): Promise<Experiment[]> {
  const groups = await Promise.all(GROUPS.map((group) => exportsOf<Experiment>(join(here, group), "experiments")));
  return groups.flat();
}
