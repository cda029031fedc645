/** What experiments touch of the machine, as a model. */
import type { ExperimentTools } from "../../runtime/cli/experiment-tools.js";
import { placementName } from "../../runtime/experiment/cell.js";
import { ManifestBuilder } from "../../runtime/experiment/manifest.js";
import { SystemFiles } from "../../runtime/native/system-files.js";
import { FakeRunner } from "./fake-runner.js";

export interface Fake {
  /** ms */
  readonly takes?: number;
  readonly emulated?: boolean;
  /** The device gives another digest. */
  readonly differs?: boolean;
  /** The device is gone at this measurement. */
  readonly failsAt?: number;
}

export function fakeTools(fake: Fake): ExperimentTools {
  return {
    devices: async (_, requests) => requests.map(({ kind, text }) => (kind === "auto" ? "opencl" : text)),
    runner: (_, { signal }) =>
      new FakeRunner({
        ...fake,
        signal,
        before: (call) => {
          if (call === fake.failsAt) throw new Error("the device is gone");
        },
      }),
    prove: async (cells, { seed }) => {
      const cases = cells.map(({ placement, device, size, cores }) => {
        const differs = fake.differs === true && device !== "none";
        return {
          ...{ name: `${placementName(placement)}, ${device}, ${cores}`, size, placement, device, cores, packets: 100 },
          ...{ digest: `sha256:${seed}${differs ? "x" : ""}`, alerts_digest: "sha256:0", first_frame: null },
          differences: differs ? ["egress digest: other frames left"] : [],
        };
      });
      return { equal: cases.every(({ differences }) => differences.length === 0), packets: 100, cases };
    },
    manifest: async () => new ManifestBuilder(new SystemFiles(), [], []),
  };
}
