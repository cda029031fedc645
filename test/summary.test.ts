/** What people read of a run's result. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { failuresOf } from "../runtime/cli/failures.js";
import { summary } from "../runtime/cli/summary.js";
import type { RunResult } from "../runtime/engine/result.js";

/** Of a device that does not forward. */
const NONE = { forwarded: 0, hops: [], forwarded_in_vain: 0 };

function result(more: Partial<RunResult> = {}): RunResult {
  return {
    chain: "mine",
    seconds: 2,
    packets: { rx: 1000, tx: 990 },
    bytes: { rx: 64_000, tx: 63_360 },
    throughput: { mpps: 0.001, gbps: 0.001 },
    latency_ns: { p50: 1000, p90: 1500, p99: 2000, p999: 3000, max: 4000, count: 5 },
    ledger: {
      rx: 1000,
      originated: 0,
      tx: 990,
      to_kernel: 0,
      dropped: 10,
      in_flight: 0,
      balanced: true,
      drops: [{ nf: "nids", reason: "device-stalled", packets: 10 }],
    },
    nfs: [],
    ports: [],
    device: null,
    sync: { rows: 0, packets: 0, dummies: 0, bytes_copied: 0, copy_seconds: 0, ...NONE },
    order: { mode: "flow", reordered: 0, flow_reordered: 0 },
    cores: "d1",
    threads: [],
    digest: null,
    alerts_digest: null,
    failure: null,
    ...more,
  };
}
const DEVICE: NonNullable<RunResult["device"]> = {
  kind: "opencl",
  name: "Iris",
  emulated: false,
  persistent: true,
  zero_copy: true,
  workgroups: 8,
  launches: 1,
};

test("a run on the CPU has no line of a device", () => {
  assert.not.match(summary(result()), /^device|^rows/m);
});

test("the device's lines say what it is, and what of its rows were dummies", () => {
  const sync = { rows: 20, packets: 1200, dummies: 80, bytes_copied: 0, copy_seconds: 0, ...NONE };
  const text = summary(result({ device: DEVICE, sync }));
  assert.match(text, /^device Iris: hardware, persistent, zero-copy, 8 workgroups$/m);
  assert.match(text, /^rows 20 with 1,200 packets and 80 dummies \(6\.25 % of entries\); 0 bytes copied$/m);
  const rounds = { ...DEVICE, emulated: true, persistent: false, zero_copy: false, workgroups: 1, launches: 1234 };
  const copied = summary(
    result({ device: rounds, sync: { rows: 0, packets: 0, dummies: 0, bytes_copied: 5000, copy_seconds: 0, ...NONE } }),
  );
  assert.match(copied, /^device Iris: emulated on the CPU, rounds, copied, 1 workgroup, 1,234 launches$/m);
  assert.match(copied, /\(0 % of entries\); 5,000 bytes copied$/m);
  const hops = [
    { from: "a", to: "b", packets: 3000 },
    { from: "b", to: "c", packets: 5 },
  ];
  const some = summary(result({ device: rounds, sync: { ...sync, forwarded: 3005, hops, forwarded_in_vain: 0 } }));
  assert.match(some, /bytes copied\nwent on by themselves: a -> b 3,000, b -> c 5\n/);
  const vain = summary(result({ device: rounds, sync: { ...sync, forwarded: 3005, hops, forwarded_in_vain: 7 } }));
  assert.match(vain, /b -> c 5; in vain 7\n/);
});

test("what receiving costs by stage; nothing stands where nothing was timed", () => {
  const timed = { hardware_ns: 1.25, cas_ns: 0, buffer_ns: 12, rx_ns: 13.25, entire_ns: 1234.56 };
  const untimed = { hardware_ns: null, cas_ns: null, buffer_ns: null, rx_ns: null, entire_ns: null };
  const stages = [
    { thread: 0, packets: 12_345, ...timed },
    { thread: 1, packets: 3, ...untimed },
  ];
  const rows = summary(result({ rx_stages: stages })).split("\n");
  const cells = (row: string) =>
    row
      .split("│")
      .map((cell) => cell.trim())
      .slice(1, -1);
  const at = rows.findIndex((row) => row.includes("rx thread"));
  assert.equal(cells(rows[at + 2]!), ["0", "12,345", "1.3", "0.0", "12.0", "13.3", "1234.6"]);
  assert.equal(cells(rows[at + 3]!), ["1", "3", "", "", "", "", ""]);
  assert.not.match(summary(result()), /by stage/);
});

test("a run fails by its ledger and by its device, and the summary is there all the same", () => {
  assert.equal(failuresOf(result()), []);
  const failed = result({ failure: "device: workgroup 3 is at row 7", device: DEVICE });
  assert.equal(failuresOf(failed), ["the run failed: device: workgroup 3 is at row 7"]);
  assert.match(summary(failed), /device-stalled/);
  const { ledger } = failed;
  assert.is(failuresOf(result({ ledger: { ...ledger, balanced: false } })).length, 1);
});

test.run();
