import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { ConfigError } from "../errors.js";
import type { NfModule } from "./nf.js";

const NFS = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "nfs");

/** NF types there are: the folders under nfs/ with an index. */
export function nfTypes(): string[] {
  return readdirSync(NFS).filter((name) => existsSync(join(NFS, name, "index.js")));
}

/**
 * Imports an NF by its type, which is the name of its folder.
 * @param where the chain's key, for the error
 */
export async function importNf(type: string, where: string): Promise<NfModule> {
  if (!nfTypes().includes(type)) {
    throw new ConfigError(where, `unknown NF type "${type}"; known types: ${nfTypes().join(", ")}`);
  }
  const module = (await import(pathToFileURL(join(NFS, type, "index.js")).href)) as { nf: NfModule };
  return module.nf;
}
