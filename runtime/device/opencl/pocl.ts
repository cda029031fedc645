/** PoCL, which runs OpenCL kernels on the CPU: what it has to be told, and whether it works where nobody has installed it. */
import { accessSync, constants, existsSync, mkdirSync, statfsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { RunError } from "../../errors.js";
import { ask } from "../../native/ask.js";
import { PROGRAM } from "../../native/finding.js";
import { findProgram, isInstalled } from "../../native/library-path.js";
import { isPocl, type OpenClDevice } from "./platform.js";

/** What the trial kernel writes. */
const WRITTEN = 42;
/** Bytes that have to be free in the kernel cache; the kernels of a chain take some 200 KB, with what the compiler leaves there meanwhile. */
const CACHE_BYTES = 8 * 2 ** 20;

/**
 * Tells PoCL what it reads once, when it is loaded: it runs as many workgroups at once as it has threads, and makes one per processor
 * unless told otherwise. What the user has set stays. On the main thread only, and before devices are listed: a worker's process.env
 * never reaches native code.
 * @param workgroups how many have to run at once; undefined: as it likes
 */
export function preparePocl(workgroups: number | undefined): void {
  // PoCL 3.1 ends the process over an empty one.
  if (process.env["POCL_CACHE_DIR"] === "") delete process.env["POCL_CACHE_DIR"];
  if (workgroups === undefined || workgroups <= availableParallelism()) return;
  // The name before PoCL 5, and since.
  for (const name of ["POCL_MAX_PTHREAD_COUNT", "POCL_CPU_MAX_CU_COUNT"]) process.env[name] ??= String(workgroups);
}

/** The folder in which PoCL keeps what it compiles (pocl_cache.c of PoCL 3.1; of later ones the same). */
export function poclCache(env: NodeJS.ProcessEnv = process.env): string {
  if (env.POCL_CACHE_DIR) return env.POCL_CACHE_DIR;
  const base = env.XDG_CACHE_HOME || (env.HOME && join(env.HOME, ".cache")) || "/tmp";
  return join(base, "pocl", "kcache");
}

/** What is wrong, and what mends it. */
export interface Problem {
  readonly problem: string;
  readonly remedy: string;
}

/**
 * Why PoCL cannot keep kernels in its cache; undefined where it can. Without one it has no device at all, or builds fail without a reason,
 * and on a full disk LLVM ends the process in mid-build.
 */
export function poclCacheProblem(folder = poclCache()): Problem | undefined {
  const wrong = (why: string): Problem => ({
    problem: `PoCL keeps compiled kernels in ${folder}, ${why}`,
    remedy: "set POCL_CACHE_DIR to a folder of your own on a disk with room",
  });
  try {
    makeFolder(folder);
    accessSync(folder, constants.W_OK | constants.X_OK);
    const { blocks, bavail, bsize } = statfsSync(folder);
    if (blocks > 0 && bavail * bsize < CACHE_BYTES) {
      return wrong(`where ${Math.floor((bavail * bsize) / 1024)} KiB are free and ${CACHE_BYTES / 1024} are needed`);
    }
    return undefined;
  } catch (error) {
    return wrong(`which cannot be written (${(error as NodeJS.ErrnoException).code})`);
  }
}

/** Not mkdir's own recursion: in Node 20 that goes round for ever where a file system answers ENOENT, as /proc does. */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  const parent = dirname(folder);
  if (parent !== folder) makeFolder(parent);
  mkdirSync(folder);
}

/** Why an installed PoCL may have no device; undefined where it is not installed or that is not the reason. */
export function missingPocl(): Problem | undefined {
  return isInstalled("PoCL") ? poclCacheProblem() : undefined;
}

/** PoCL links kernels with the system's linker, and has the paths of its package in it. */
function linksForSure(): boolean {
  return isInstalled("PoCL") && findProgram("ld") !== undefined;
}

/**
 * PoCL that was unpacked and not installed (OCL_ICD_VENDORS leads there), or has no linker, may compile kernels and end the process when it
 * links them. So it is tried in another process first.
 * @param trusted no trial is needed
 * @throws RunError where it does not work
 */
export async function tryPocl(device: OpenClDevice, trusted = linksForSure()): Promise<void> {
  if (!isPocl(device)) return;
  const cache = poclCacheProblem();
  if (cache !== undefined) throw new RunError(device.name, cache.problem, cache.remedy);
  if (trusted) return;
  const answer = await ask<number>(new URL("./trial.js", import.meta.url), device.platform, device.name);
  if (answer === WRITTEN) return;
  const reason = answer instanceof Error ? answer.message : `a kernel wrote ${answer}, not ${WRITTEN}`;
  throw new RunError(
    device.name,
    `PoCL does not run kernels here (${reason}); it needs a linker (ld), and works where root has installed it`,
    `${PROGRAM} doctor --install as root, and apt-get install binutils`,
  );
}
