/** What `paper` is going to do: the chains made and loaded, the device found, the plan. */
import { availableParallelism } from "node:os";
import { basename } from "node:path";
import type { LoadedChain } from "../chain/load.js";
import { type DeviceRequest, parseDevice } from "../device/choose.js";
import { chainFiles, cpuModel, projectVersion } from "../experiment/manifest.js";
import { chainFile, type PaperChain, writePaperChains } from "../experiment/paper/chains.js";
import type { PaperFigure } from "../experiment/paper/figure.js";
import { makePaperPlan, type PaperPlan } from "../experiment/paper/plan.js";
import { lackFor, placementOf } from "../experiment/placements.js";
import type { Identity } from "../experiment/sample-store.js";
import { loadForExperiments } from "../experiment/variant.js";
import { SystemFiles } from "../native/system-files.js";
import type { Manifest } from "../report/document.js";
import type { ExperimentTools } from "./experiment-tools.js";
import type { PaperRequest } from "./paper-options.js";

/** Where chains lie in a report's folder. */
export const CHAINS_FOLDER = "chains";

export interface PaperSetup {
  readonly chains: ReadonlyMap<PaperChain, LoadedChain>;
  readonly files: Manifest["files"];
  readonly plan: PaperPlan;
  readonly identity: Identity;
}

/**
 * @param folder for the chains
 * @param all figures that cannot be shown are left out
 * @throws ConfigError where a figure cannot be shown on the device; RunError where the device is not there
 */
export async function setUp(
  figures: readonly PaperFigure[],
  request: PaperRequest,
  { folder, all, tools, say }: { folder: string; all: boolean; tools: ExperimentTools; say: (line: string) => void },
): Promise<PaperSetup> {
  writePaperChains(folder);
  const chains = new Map<PaperChain, LoadedChain>();
  for (const { chain } of figures.flatMap(({ series }) => series)) {
    if (!chains.has(chain))
      chains.set(chain, await loadForExperiments(chainFile(folder, chain), (line) => hear(line, say)));
  }
  const device = await deviceOf(request, chains, tools, say);
  const files = filesOf([...chains.values()]);
  const { plan, identity } = makePaperPlan({
    ...{ figures, device, all, files },
    options: { ...request, meter: request.meter.text },
    lack: (name, gpu, { kind }) => {
      const chain = chains.get(name)!;
      return kind === "auto" || kind === "none" ? undefined : lackFor(chain, placementOf(chain, gpu), kind);
    },
    machine: `${cpuModel(new SystemFiles())}, ${availableParallelism()} cores`,
    version: projectVersion(),
  });
  return { chains, files, plan, identity };
}

/** The paper's NIDS stands behind IPsec; fig6 says so. */
function hear(line: string, say: (line: string) => void): void {
  if (!/its rules scan ciphertext$/.test(line)) say(line);
}

/** The device of `--device`; `auto` becomes the best there is for the chain with the most NFs. */
async function deviceOf(
  { device }: PaperRequest,
  chains: ReadonlyMap<PaperChain, LoadedChain>,
  tools: ExperimentTools,
  say: (line: string) => void,
): Promise<DeviceRequest | undefined> {
  if (device.kind === "none") return undefined;
  const [widest] = [...chains.values()].sort((a, b) => b.nfs.length - a.nfs.length);
  const [found] = await tools.devices(widest!, [device], say);
  return found === undefined ? undefined : parseDevice(found);
}

/** By their names: the folder they are in is another one each time. */
function filesOf(chains: readonly LoadedChain[]): Manifest["files"] {
  const found = new Map<string, string>();
  for (const { path, sha256 } of chains.flatMap(chainFiles)) found.set(`${CHAINS_FOLDER}/${basename(path)}`, sha256);
  return [...found].map(([path, sha256]) => ({ path, sha256 })).sort((a, b) => (a.path < b.path ? -1 : 1));
}
