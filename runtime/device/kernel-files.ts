/** Where kernels lie, and the constants of the layout that all of them are compiled with, whatever the language. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { RunError } from "../errors.js";
import { FLAG, PARAM_WORDS, SLOT_SIZE } from "../packet/arena.js";
import { type QueueShape, queueDefines } from "./queue.js";

/** kernels/ of the project, from the compiled code (dist/runtime/device) as well as from the source. */
export function kernelFolder(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); folder !== dirname(folder); folder = dirname(folder)) {
    const kernels = join(folder, "kernels");
    if (existsSync(join(kernels, "common.cl"))) return kernels;
  }
  throw new RunError("kernels", "the folder kernels/ is not beside the program", "install wingbeat with it");
}

/** The path of `name` in the first of these folders that has it, else in kernels/. */
function findKernel(name: string, folders: readonly string[]): string {
  const all = [...folders, kernelFolder()];
  const file = all.map((folder) => join(folder, name)).find((path) => existsSync(path));
  if (file === undefined) throw new RunError("kernels", `there is no kernel ${name} in ${all.join(", ")}`);
  return file;
}

/**
 * The text of `name` in the first of these folders that has it, else in kernels/.
 * @param name with the language's ending: "nids.cl"
 * @throws RunError where no folder has it
 */
export function readKernel(name: string, folders: readonly string[] = []): string {
  return readFileSync(findKernel(name, folders), "utf8");
}

/**
 * Constant tables of a kernel that stand in a file of their own beside it: ipsec-tables.cl. They come before it.
 * @param ending of the language: "cl"
 * @throws RunError where no folder has the kernel
 */
export function readTables(
  program: string,
  ending: string,
  folders: readonly string[] = [],
): { readonly name: string; readonly text: string } | undefined {
  const name = `${program}-tables.${ending}`;
  const file = join(dirname(findKernel(`${program}.${ending}`, folders)), name);
  return existsSync(file) ? { name, text: readFileSync(file, "utf8") } : undefined;
}

const FLAGS = { WB_FLAG_IPV4: FLAG.IPV4, WB_FLAG_IPV6: FLAG.IPV6, WB_FLAG_L4: FLAG.L4 };

/** What kernels know of the queue and the slots; u32 each. */
export function layoutConstants(
  shape: QueueShape,
  more: Readonly<Record<string, number>> = {},
): Record<string, number> {
  return { ...queueDefines(shape), WB_SLOT_SIZE: SLOT_SIZE, WB_PARAM_WORDS: PARAM_WORDS, ...FLAGS, ...more };
}
