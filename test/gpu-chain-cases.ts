/**
 * Chains on the device that is there, in threads: every placement of the three NFs, on any cores and workgroups, gives the
 * result of a run without a device.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { DeviceOptions } from "../runtime/device/open.js";
import type { RunResult } from "../runtime/engine/result.js";
import { folder, gateway } from "./chain-support.js";
import { check, type Form, load, MOST_WORKGROUPS, randomForm, runLoaded } from "./support/gpu-forms.js";
import { freshSeed, Random } from "./support/random.js";

/** @param kind of the device */
export function chainCases(kind: DeviceOptions["kind"]): void {
  const seed = freshSeed();
  const r = new Random(seed);
  const cwd = folder(gateway(2500));
  const NFS = ["protect", "open", "nids", "router"];

  async function runForm(form: Form | undefined, ivSeed: number): Promise<RunResult> {
    return runLoaded(await load(cwd, NFS, form?.place ?? []), form, ivSeed);
  }

  /** What placement must not change. */
  function essence(result: RunResult): object {
    const { digest, alerts_digest, bytes, packets, nfs, ports } = result;
    const tables = nfs.map(({ name, packets: n, bytes: b, outcomes }) => ({ name, n, b, outcomes }));
    const drops = result.ledger.drops.map((d) => `${d.nf} ${d.reason} ${d.packets}`).sort();
    return { digest, alerts_digest, bytes, packets, tables, drops, ports };
  }

  const placements = Array.from({ length: 7 }, (_, i) =>
    [["protect", "open"], ["nids"], ["router"]].flatMap((names, bit) => (((i + 1) >> bit) & 1 ? names : [])),
  );
  test(`every placement, on any cores and workgroups, gives one result (seed ${seed})`, async () => {
    const ivSeed = r.u32();
    // The first device of the process decides how many threads PoCL has.
    const first: Form = { kind, place: ["nids"], cores: "d1", workgroups: MOST_WORKGROUPS };
    const without = essence(await runForm(undefined, ivSeed));
    const forms = [first, ...placements.map((place) => randomForm(r, place, kind))];
    for (const form of forms) {
      const about = `seed ${seed}, ${JSON.stringify(form)}`;
      const result = await runForm(form, ivSeed);
      check(result, form, about);
      assert.equal(essence(result), without, about);
      assert.is(result.order.reordered, 0, about);
    }
  });
}
