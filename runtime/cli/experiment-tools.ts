/** What experiments touch of the machine, and how they speak of it. */
import type { LoadedChain } from "../chain/load.js";
import type { DeviceRequest } from "../device/choose.js";
import type { Runner } from "../experiment/cell.js";
import { findDevices } from "../experiment/devices.js";
import { type Proof, type ProofCell, type ProofOptions, proveEquivalence } from "../experiment/equivalence.js";
import { ManifestBuilder } from "../experiment/manifest.js";
import { ChainRunner, type RunnerOptions } from "../experiment/runner.js";

/** What touches the machine; tests have others. */
export interface ExperimentTools {
  devices(chain: LoadedChain, requests: readonly DeviceRequest[], warn: (line: string) => void): Promise<string[]>;
  runner(chain: LoadedChain, options: RunnerOptions): Runner;
  prove(cells: readonly ProofCell[], options: ProofOptions): Promise<Proof>;
  manifest(): Promise<ManifestBuilder>;
}

export const REAL_TOOLS: ExperimentTools = {
  devices: findDevices,
  runner: (chain, options) => new ChainRunner(chain, options),
  prove: proveEquivalence,
  manifest: () => ManifestBuilder.begin(),
};

/** Each line once. Which device a run takes, and how, stands in the result: said before every run it would bury the rest. */
export function unannounced(say: (line: string) => void): (line: string) => void {
  const said = new Set<string>();
  return (line) => {
    if (said.has(line) || /^device .*; runs /.test(line)) return;
    said.add(line);
    say(line);
  };
}

/** The command line with `--resume`, to be pasted. */
export function resumeCommand(): string {
  const words = ["wingbeat", ...process.argv.slice(2).filter((word) => word !== "--resume"), "--resume"];
  return words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(" ");
}
