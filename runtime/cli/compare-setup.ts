/** What a comparison is going to do, from what was asked for, the chain and the machine; and where its samples are kept. */
import { availableParallelism } from "node:os";
import type { LoadedChain } from "../chain/load.js";
import type { FrameSize } from "../experiment/cell.js";
import { type MadePlan, makePlan } from "../experiment/compare-plan.js";
import { chainFiles, cpuModel, projectVersion } from "../experiment/manifest.js";
import { ableNfs, type Placements, parsePlacements, placementOf, placeOnDevices } from "../experiment/placements.js";
import { SampleStore } from "../experiment/sample-store.js";
import { SystemFiles } from "../native/system-files.js";
import type { CompareRequest } from "./compare-options.js";
import { warn } from "./output.js";

const SIZES: readonly FrameSize[] = [64, 128, 256, 512, 1024, 1472, "imix"];
const QUICK_SIZES: readonly FrameSize[] = [64, 1472];

/** @throws ConfigError where what was asked for cannot be */
export function planFor(
  chain: LoadedChain,
  request: CompareRequest,
  placements: string | undefined,
  devices: readonly string[],
): MadePlan {
  const leftOut: { what: string; why: string }[] = [];
  const wanted =
    placements === undefined && request.quick ? quickPlacements(chain) : parsePlacements(placements, chain);
  const placed = placeOnDevices(chain, wanted, devices, (line) => {
    warn(line);
    const [what, ...why] = line.split(": ");
    leftOut.push({ what: what!.replace(" is left out for", " on"), why: why.join(": ") });
  });
  const machine = `${cpuModel(new SystemFiles())}, ${availableParallelism()} cores`;
  return makePlan({
    ...{ chain, placed, devices, leftOut, machine },
    options: { ...request, sizes: request.sizes ?? usualSizes(chain, request.quick), meter: request.meter.text },
    files: chainFiles(chain),
    version: projectVersion(),
  });
}

/** Captures as they are, too; in a quick comparison of captures alone that is all. */
function usualSizes(chain: LoadedChain, quick: boolean): readonly FrameSize[] {
  const drivers = chain.ports.filter(({ rx }) => rx).map(({ config }) => config.driver);
  if (quick) return drivers.includes("generator") ? QUICK_SIZES : ["as-is"];
  return drivers.includes("pcap") ? [...SIZES, "as-is"] : SIZES;
}

/** All on the CPU, each NF that can by itself on the GPU, and all of them. */
function quickPlacements(chain: LoadedChain): Placements {
  const able = ableNfs(chain);
  const all = able.length > 1 ? [placementOf(chain, able)] : [];
  return { placements: [placementOf(chain, []), ...able.map((nf) => placementOf(chain, [nf])), ...all], named: false };
}

/** @throws ConfigError where samples of something else are there */
export function openStore(
  folder: string,
  { identity }: Pick<MadePlan, "identity">,
  resume: boolean | undefined,
  say: (line: string) => void,
): SampleStore {
  const store = SampleStore.open(folder, identity, resume === true, say);
  if (resume) {
    const { length } = store.samples;
    say(
      length === 0 ? "--resume: no samples here yet, beginning anew" : `--resume: ${length} samples are there already`,
    );
  }
  return store;
}
