/**
 * Where native libraries lie. The search itself is shared with the set-up (scripts/system.mjs), which puts libraries into
 * the cache folder where it may not install them.
 */
export { cacheFolder, findLibrary, findProgram } from "../../scripts/system.mjs";
