/** Draws what experiments have found as pictures, an SVG and a PNG of each, into a folder. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { ConfigError } from "../runtime/errors.js";
import { validate } from "../runtime/validate.js";
import type { Experiment, Finding } from "./experiment.js";

/** Makes the folder, before anything is measured for it. @throws ConfigError where that cannot be */
export function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw new ConfigError("--figures", `${folder} cannot be made: ${(error as Error).message}`, "name another folder");
  }
}

/** @throws ConfigError where none of these experiments has figures to draw, before they are measured for it */
export function checkDrawn(experiments: readonly Experiment[]): void {
  if (experiments.some(({ plots }) => plots !== undefined)) return;
  throw new ConfigError("--figures", "of what is named nothing has figures that are drawn", "name live-rx-patterns");
}

/** What an earlier `--json` has written, as far as figures need it. */
export interface Measured {
  readonly findings: readonly Finding[];
  /** Processors of the machine. */
  readonly cores: number;
}

/** What is read of it; JSON has null for a number that is none. */
const MEASURED = z.looseObject({
  findings: z.array(
    z.looseObject({
      experiment: z.string(),
      subject: z.string(),
      figure: z.string(),
      value: z.looseObject({ median: z.number().nullable() }),
    }),
  ),
  cores: z.number(),
});

/** @throws ConfigError for what is no result of this program */
export function readMeasured(file: string): Measured {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new ConfigError(
      "--from",
      `${file} cannot be read: ${(error as Error).message}`,
      "name what --json has written",
    );
  }
  validate(MEASURED, value, `--from ${file}`);
  return value as Measured;
}

/** @returns the files written. @throws ConfigError where nothing was found; RunError where the font is missing */
export async function writeFigures(
  folder: string,
  experiments: readonly Experiment[],
  { findings, cores }: Measured,
): Promise<string[]> {
  const drawn = experiments.flatMap(({ name, plots }) => {
    const own = findings.filter(({ experiment }) => experiment === name);
    return own.length === 0 || plots === undefined ? [] : plots(own, cores);
  });
  if (drawn.length === 0) {
    throw new ConfigError("--figures", "there are no findings to draw", "see what failed, or name other experiments");
  }
  // The library that draws takes its time to load, and most runs draw nothing.
  const { draw } = await import("../runtime/report/draw.js");
  const files: string[] = [];
  for (const plot of drawn) {
    const { standAlone, png } = await draw(plot, plot.id);
    for (const [extension, bytes] of [["svg", standAlone] as const, ["png", png] as const]) {
      const file = join(folder, `${plot.id}.${extension}`);
      writeFileSync(file, bytes);
      files.push(file);
    }
  }
  return files;
}
