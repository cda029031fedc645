/**
 * Where native libraries lie. The search itself is shared with the set-up (scripts/system.mjs), which puts libraries into
 * the cache folder where it may not install them.
 */
import { locate, WANTED } from "../../scripts/system.mjs";

export { cacheFolder, findLibrary, findProgram } from "../../scripts/system.mjs";

/** Whether something of the set-up's list is there, by the name it has on it. */
export function isInstalled(name: string): boolean {
  const wanted = WANTED.find((one) => one.name === name);
  if (wanted === undefined) throw new RangeError(`the set-up knows no ${name}`);
  return locate(wanted) !== undefined;
}
