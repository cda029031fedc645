/** Finds the module of an NF: by its type, which is a folder of nfs/, or a file of the user's that a chain names. */
import { existsSync, readdirSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { ConfigError } from "../errors.js";
import type { NfModule } from "./nf.js";

const NFS = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "nfs");

/** NF types there are: the folders under nfs/ with an index. */
export function nfTypes(): string[] {
  return readdirSync(NFS).filter((name) => existsSync(join(NFS, name, "index.js")));
}

/**
 * What {@link importNf} takes: `type` itself, or the absolute path of the module it names.
 * @param resolve makes a path of the chain's absolute
 * @param where the chain's key, for the error
 */
export function nfSource(type: string, resolve: (path: string) => string, where: string): string {
  const isModule = /\.m?js$/.test(type);
  if (/^\.{0,2}\//.test(type)) {
    if (isModule) return resolve(type);
    throw new ConfigError(where, `found "${type}"; an NF of your own is a .mjs or .js file`);
  }
  if (isModule)
    throw new ConfigError(where, `unknown NF type "${type}"`, `for a file beside the chain write "./${type}"`);
  return type;
}

/**
 * Imports an NF.
 * @param source its type, or the absolute path of a user's module
 * @param where the chain's key, for the error
 * @throws ConfigError where there is none, or a user's module is not an NF
 */
export async function importNf(source: string, where: string): Promise<NfModule> {
  const types = nfTypes();
  if (isAbsolute(source)) {
    const { importUserNf } = await import("./user-module.js");
    return importUserNf(source, where, types);
  }
  if (!types.includes(source)) {
    const own = 'or the path of a module of your own: "./my-nf.mjs"';
    throw new ConfigError(where, `unknown NF type "${source}"; known types: ${types.join(", ")}, ${own}`);
  }
  const module = (await import(pathToFileURL(join(NFS, source, "index.js")).href)) as { nf: NfModule };
  return module.nf;
}

/**
 * Imports what a thread of an NF needs: {@link NfModule.create}. An NF that has it in a file of its own, create.ts, spares its threads
 * schemas and what reads files.
 * @param source, where as {@link importNf} takes them
 */
export async function importCreate(source: string, where: string): Promise<NfModule["create"]> {
  const file = isAbsolute(source) ? undefined : join(NFS, source, "create.js");
  if (file === undefined || !existsSync(file)) {
    const module = await importNf(source, where);
    return (loaded, context) => module.create(loaded, context);
  }
  const { create } = (await import(pathToFileURL(file).href)) as { create: NfModule["create"] };
  return create;
}
