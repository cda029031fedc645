/** The equivalence proof on a device: it holds where the device computes rightly, and one bit that is another is found and named. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type LoadedChain, loadChain } from "../runtime/chain/load.js";
import { type DeviceOptions, openDevice } from "../runtime/device/open.js";
import { deviceNfs, slotsFor } from "../runtime/engine/device-plan.js";
import type { FrameSize } from "../runtime/experiment/cell.js";
import { type Proof, type ProofOptions, proveEquivalence, refusal } from "../runtime/experiment/equivalence.js";
import { prepareInputs } from "../runtime/experiment/input/prepare.js";
import { placementOf } from "../runtime/experiment/placements.js";
import { folder, gateway } from "./chain-support.js";

export const PACKETS = 2000;
const WORKGROUPS = 2;

export interface Subject {
  readonly chain: LoadedChain;
  readonly cwd: string;
}

/** The gateway, loaded so that it writes nothing of the user's. */
export async function subject(more: Record<string, string | object> = {}): Promise<Subject> {
  // Every packet in which the search finds something alerts.
  const rule = 'alert ip any any -> any any (msg:"a"; content:"cmd.exe"; sid:1;)';
  const files: Record<string, string | object> = { ...gateway(PACKETS), "local.rules": rule, ...more };
  // The router's answers are 1 and 2; with a bit flipped they are 0, which is no route, and 3, which is to be one.
  const cwd = folder({ ...files, "routes.txt": `${files["routes.txt"]}203.0.113.0/24 192.0.2.253 lan\n` });
  return { cwd, chain: await loadChain(join(cwd, "chain.json"), { redirect: () => "/dev/null", warn: () => {} }) };
}

/** What a test gives beside kind and NFs of the device. */
type DeviceForm = Pick<DeviceOptions, "kind" | "mode" | "corruptAfter" | "gpuJsMode">;

/** @param resized placements that go through frames of 256 bytes, the others as it is */
export async function prove(
  { chain, cwd }: Subject,
  placements: readonly (readonly string[])[],
  form: DeviceForm,
  more: Partial<ProofOptions> = {},
  resized: readonly (readonly string[])[] = [],
): Promise<Proof> {
  const scratch = join(cwd, "scratch");
  const warn = () => {};
  const cell = (gpu: readonly string[], size: FrameSize) => ({
    placement: placementOf(chain, gpu),
    ...{ device: gpu.length === 0 ? "none" : form.kind, size, cores: "d1", workgroups: WORKGROUPS },
  });
  const cells = [...placements.map((gpu) => cell(gpu, "as-is")), ...resized.map((gpu) => cell(gpu, 256))];
  const proof = await proveEquivalence(cells, {
    chain,
    open: (placed) => openDevice({ ...form, workgroups: WORKGROUPS, nfs: deviceNfs(placed), slots: slotsFor, warn }),
    input: (size) => prepareInputs(chain, size, { seed: 5, scratch, warn }),
    ...{ seed: 5, batch: 64, generated: PACKETS, scratch, warn },
    ...more,
  });
  // Plain JSON, and nothing is left behind.
  assert.equal(JSON.parse(JSON.stringify(proof)), proof);
  assert.not(existsSync(join(scratch, "difference")));
  assert.equal(
    readdirSync(cwd).filter((name) => name === "alerts.jsonl"),
    [],
  );
  return proof;
}

/** @param forms of the device, with the NFs that it can take */
export function equivalenceCases(about: string, form: DeviceForm, nfs: readonly (readonly string[])[]): void {
  test(`${about}: a device that computes rightly is equal to the CPU`, async () => {
    const proof = await prove(await subject(), [[], ...nfs], form, {}, [nfs[0]!]);
    assert.is(refusal(proof), undefined, refusal(proof)?.message);
    assert.ok(proof.equal);
    assert.is(proof.packets, PACKETS);
    assert.is(proof.cases.length, 2 + nfs.length);
    assert.is(new Set(proof.cases.map(({ digest }) => digest)).size, 2, "sizes are different inputs");
  });

  for (const gpu of nfs) {
    test(`${about}: a flipped bit is found, with ${gpu.join(" and ")} on it`, async () => {
      const proof = await prove(await subject(), [gpu], { ...form, corruptAfter: 1 });
      assert.not(proof.equal);
      const [{ differences, first_frame } = proof.cases[0]!] = proof.cases;
      const error = refusal(proof)!;
      assert.is(error.name, "RunError");
      assert.match(error.message, new RegExp(`${gpu.join("\\+")} on gpu, ${form.kind}, d1 at as-is gives another`));
      for (const line of differences) assert.ok(error.message.includes(line));
      if (gpu[0] === "nids") {
        // An alert is missed: it is not in the digest, and may have changed where the packet went.
        assert.ok(
          differences.some((line) => line.startsWith("alerts digest: sha256:")),
          differences.join(),
        );
        assert.ok(
          differences.some((line) => /^NF nids outcome \w+: \d+ instead of \d+$/.test(line)),
          differences.join(),
        );
        return;
      }
      assert.ok(
        differences.some((line) => line.startsWith("egress digest: sha256:")),
        differences.join(),
      );
      assert.ok(first_frame !== null && first_frame.frame >= 1, differences.join());
      assert.ok(first_frame.expected !== first_frame.found);
      assert.match(error.message, /first: port (out|lan), frame \d+/);
    });
  }
}
