/** Cells measured by running the chain, on one kind of device. */
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Cell, onGpu, type Placement, RX_RING, type Sample, sampleKey } from "../runtime/experiment/cell.js";
import { ChainRunner, type RunnerOptions } from "../runtime/experiment/runner.js";
import { folder, gateway, run } from "./chain-support.js";

export const TIMING = { warmUpMs: 50, windowMs: 300 };
export const ON_CPU: Placement = { protect: "cpu", open: "cpu", nids: "cpu", router: "cpu" };

export function cellOf(device: string, placement: Placement, more: Partial<Cell> = {}): Cell {
  return {
    ...{ device, placement, size: "as-is", cores: "d1", workgroups: undefined, wait: "adaptive", batch: 64 },
    ...more,
  };
}

/** Runs a test's body with a runner of the gateway, and closes it. */
export async function withRunner(
  body: (runner: ChainRunner, cwd: string, said: string[]) => Promise<void>,
  more: Partial<RunnerOptions> = {},
  files = gateway(),
): Promise<void> {
  const cwd = folder(files);
  const said: string[] = [];
  const runner = await ChainRunner.open(join(cwd, "chain.json"), { warn: (line) => said.push(line), ...more });
  try {
    await body(runner, cwd, said);
  } finally {
    await runner.close();
  }
}

/** What holds for every sample of the gateway. */
function plausible(sample: Sample, about: string): void {
  const { packets, latency_ns: latency, seconds, nfs } = sample;
  assert.ok(packets.rx > 0 && sample.bytes > 60 * packets.rx, about);
  // What the window's ends cut off is under way: no more than there are slots.
  assert.ok(Math.abs(packets.rx - packets.tx - packets.dropped) <= 65_536, about);
  assert.ok(seconds >= (TIMING.windowMs - 1) / 1000, about);
  assert.ok(Math.abs(sample.mpps - packets.rx / seconds / 1e6) < 1e-9, about);
  assert.ok(Math.abs(sample.gbps - (sample.bytes * 8) / seconds / 1e9) < 1e-9, about);
  assert.ok(sample.cpu_seconds > 0, about);
  const { p50, p90, p99, p999, max, count } = latency;
  assert.ok(0 < p50 && p50 <= p90 && p90 <= p99 && p99 <= p999 && p999 <= max && count > 0, about);
  assert.equal(
    nfs.map(({ name, place }) => [name, place]),
    Object.entries(sample.cell.placement),
    about,
  );
  assert.ok(
    nfs.every(({ engine }) => engine !== ""),
    about,
  );
  assert.is(sample.energy, null);
  assert.is(sample.key, sampleKey(sample.cell, sample.load));
}

/** @param placement with NFs on the device, or none */
export function measureCases(device: string, placement: Placement): void {
  const gpu = onGpu(placement).length > 0;

  test(`${device}: saturation and offered loads, with shares, drops, losses and latencies`, async () => {
    await withRunner(async (runner, cwd) => {
      const cell = cellOf(device, placement);
      const whole = run(cwd, "chain.json", "--device", "none");
      const loads = [
        { kind: "saturation" },
        { kind: "offered", pps: 5000, ring: RX_RING },
        { kind: "offered", pps: 50e6, ring: 64 },
      ] as const;
      for (const [i, load] of loads.entries()) {
        const sample = await runner.measure(cell, load, TIMING, i);
        const about = JSON.stringify(sample);
        plausible(sample, about);
        assert.is(sample.repeat, i);
        assert.is(sample.loss > 0, i === 2, about);
        assert.is(sample.loss > 0, sample.packets.missed > 0, about);
        if (i === 2) assert.ok(sample.loss > 0.5, about);
        // A stall before the window may be caught up with in it.
        if (load.kind === "offered") assert.ok(sample.packets.rx <= load.pps * (sample.seconds + 1), about);
        sample.nfs.forEach(({ share }, n) => {
          assert.ok(Math.abs(share - whole.nfs[n]!.packets / whole.packets.rx) < 0.1, about);
        });
        if (i !== 1)
          assert.ok(
            sample.drops.some(({ reason, packets }) => reason === "no-route" && packets > 0),
            about,
          );
        assert.is(sample.device?.kind ?? "none", device, about);
        assert.is(sample.sync.packets > 0, gpu, about);
      }
    });
  });

  if (!gpu) return;
  test(`${device}: what leaves is the same as with every NF on the CPU`, async () => {
    await withRunner(async (runner) => {
      const options = { digest: true, seed: 7, order: "global", loop: 1 } as const;
      const results = [];
      for (const cell of [cellOf("none", ON_CPU), cellOf(device, placement)]) {
        results.push(await (await runner.start(cell, options)).result);
      }
      const [cpu, other] = results;
      assert.is(cpu!.digest, other!.digest);
      assert.is(cpu!.alerts_digest, other!.alerts_digest);
      assert.is(cpu!.ledger.rx, 6000);
      assert.is(other!.device?.kind, device);
    });
  });
}
