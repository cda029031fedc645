/** Which files a chain reads and writes, and that none is both. */
import { ConfigError } from "../errors.js";
import { checkPortFiles, fileIdentity } from "../nic/drivers.js";
import type { LoadedNf, LoadedPort } from "./load.js";

/** A file a chain reads or writes. */
export interface UsedFile {
  readonly file: string;
  /** "the policy", "NF nids reads it", ... */
  readonly what: string;
}

/**
 * Two writers on one file, or a file read and written, would destroy what the user has.
 * @param inputs what the chain reads beside its ports
 * @returns the files of ports and NF outputs
 * @throws ConfigError naming both users
 */
export function checkFiles(
  file: string,
  ports: readonly LoadedPort[],
  nfs: readonly LoadedNf[],
  inputs: readonly UsedFile[],
): UsedFile[] {
  checkPortFiles(ports.map(({ name, config, tx }) => ({ name, config, use: tx ? "tx" : "rx" })));
  const files: UsedFile[] = [];
  for (const { name, config, tx } of ports) {
    if (config.driver === "pcap")
      files.push({ file: config.file, what: `which port ${name} ${tx ? "writes" : "reads"}` });
    if (config.driver === "pcap" && tx) refuseOverwriting(config.file, `port ${name}`, inputs);
  }
  for (const nf of nfs) {
    for (const path of nf.outputs) {
      files.push({ file: path, what: `which NF ${nf.name} writes` });
      refuseOverwriting(path, `NF ${nf.name}`, inputs);
    }
  }
  const users = new Map<string, string>();
  for (const { name, config } of ports) {
    if (config.driver === "pcap") users.set(fileIdentity(config.file), `port ${name}`);
  }
  for (const nf of nfs) {
    for (const path of nf.outputs) {
      const other = users.get(fileIdentity(path));
      if (other !== undefined) {
        throw new ConfigError(
          file,
          `${path} would be written by NF ${nf.name}, and ${other} uses it`,
          "give each its own file",
        );
      }
      users.set(fileIdentity(path), `NF ${nf.name}`);
    }
  }
  return files;
}

function refuseOverwriting(file: string, writer: string, inputs: readonly UsedFile[]): void {
  const identity = fileIdentity(file);
  const input = inputs.find((i) => fileIdentity(i.file) === identity);
  if (input !== undefined) {
    throw new ConfigError(
      file,
      `would be overwritten by ${writer}: it is ${input.file}, ${input.what}`,
      "write to another file",
    );
  }
}
