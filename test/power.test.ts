/** `power`: what it measures and in which order, and what it makes of it, on a runner of the test's own. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { powerTable } from "../runtime/cli/power-table.js";
import type { WaitPolicy } from "../runtime/engine/plan.js";
import { ConfigError, RunError } from "../runtime/errors.js";
import { type Cell, type Load, type Runner, type Sample, sampleKey } from "../runtime/experiment/cell.js";
import { ManifestBuilder } from "../runtime/experiment/manifest.js";
import { runPower } from "../runtime/experiment/power.js";
import { parseLoads, parseWaits } from "../runtime/experiment/power-plan.js";
import type { PowerPlan } from "../runtime/experiment/power-result.js";
import { SampleStore } from "../runtime/experiment/sample-store.js";
import type { EnergyRecorder, EnergySpan, MeterInfo } from "../runtime/measure/energy/meter.js";
import { powerDocument } from "../runtime/report/power-document.js";

const METER: MeterInfo = {
  ...{ kind: "rapl", name: "RAPL (powercap)", provenance: "measured", intervalMs: 1000, note: "a test's" },
  domains: [
    { name: "package-0", within: null },
    { name: "package-0 core", within: "package-0" },
  ],
};
const NOMINAL: MeterInfo = { ...METER, kind: "nominal", name: "nominal (TDP x busy share)", provenance: "nominal" };
/** Watts of the idle machine, and what each policy takes above it while it waits. */
const IDLE = 20;
const WAITING: Record<WaitPolicy, number> = { spin: 30, yield: 28, sleep: 2, adaptive: 2 };
/** Packets per second under saturation. */
const RATES: Record<WaitPolicy, number> = { spin: 1e6, yield: 1.1e6, sleep: 0.8e6, adaptive: 1e6 };
/** Joules of a packet above all that. */
const PER_PACKET = 20e-6;

const cell = (wait: WaitPolicy, device = "none"): Cell => ({
  ...{ placement: { nids: device === "none" ? "cpu" : "gpu" }, device, size: "as-is", cores: "d1" },
  ...{ workgroups: undefined, wait, batch: 64 },
});

const plan = (more: Partial<PowerPlan> = {}): PowerPlan => ({
  ...{ chain: "test", input: "generator", loads: [0, 50, 100], waits: ["spin", "sleep"], cores: "d1", repeats: 5 },
  ...{ warm_up_ms: 1, window_ms: 1000, idle_ms: 10, seed: 7, quick: false },
  cells: (more.waits ?? ["spin", "sleep"]).map((wait) => cell(wait)),
  ...more,
});

function span(watts: number, meter: MeterInfo): EnergySpan {
  return {
    ...{ meter, seconds: 1, joules: watts, uncertainty_joules: 0.002 * watts, readings: 2 },
    domains: [
      { name: "package-0", within: null, joules: watts, idle_watts: IDLE },
      { name: "package-0 core", within: "package-0", joules: watts / 2, idle_watts: 1 },
    ],
    idle_watts: IDLE,
    idle_uncertainty_watts: 0.1,
  };
}

class FakeRunner implements Runner {
  readonly asked: string[] = [];
  constructor(
    private readonly meter: MeterInfo,
    private readonly before: (count: number) => void = () => {},
  ) {}

  async measure(of: Cell, load: Load, _timing: unknown, repeat: number): Promise<Sample> {
    this.before(this.asked.length);
    this.asked.push(`${repeat}; ${sampleKey(of, load)}`);
    const pps = load.kind === "saturation" ? RATES[of.wait] : load.pps;
    // A machine that drifts by a tenth over the repeats, alike for all.
    const drift = 1 + 0.1 * Math.sin(repeat);
    const busy = pps / RATES[of.wait];
    const watts =
      (IDLE + WAITING[of.wait] * (1 - busy) + PER_PACKET * pps) * drift * (1 + 0.001 * Math.sin(7 * repeat + busy));
    const latency = { p50: 1000, p90: 2000, p99: 3000, p999: 4000, max: 5000, count: pps < 2 ? 0 : 100 };
    return {
      ...{ key: sampleKey(of, load), cell: of, load, repeat, at: new Date(0).toISOString(), seconds: 1 },
      packets: { rx: pps, tx: pps, dropped: 0, missed: 0 },
      ...{
        bytes: pps * 512,
        mpps: pps / 1e6,
        gbps: (pps * 512 * 8) / 1e9,
        loss: 0,
        latency_ns: latency,
        cpu_seconds: 0.5,
      },
      ...{ nfs: [], device: null, drops: [], sync: { rows: 0, packets: 0, dummies: 0, bytes_copied: 0 } },
      energy: span(watts, this.meter),
    };
  }

  async close(): Promise<void> {}
}

const recorder = (info: MeterInfo): EnergyRecorder => ({
  info,
  start: () => {},
  stop: () => span(IDLE, info),
  measureIdle: async () => {},
  close: () => {},
});

let manifest: ManifestBuilder;
test.before(async () => {
  manifest = await ManifestBuilder.begin();
});

async function power(
  of: PowerPlan,
  runner: FakeRunner,
  more: { store?: SampleStore; meter?: MeterInfo; signal?: AbortSignal } = {},
) {
  const { store = SampleStore.inMemory(), meter = METER, signal = new AbortController().signal } = more;
  return runPower({ plan: of, files: [], store, runner, recorder: recorder(meter), manifest, signal, show: () => {} });
}

test("loads are shares of the rate that all policies reach, in turns, each once a repeat", async () => {
  const runner = new FakeRunner(METER);
  const { result, error } = await power(plan(), runner);
  assert.is(error, undefined);
  assert.is(result.state, "complete");
  assert.is(runner.asked.length, 2 * 3 * 5);
  assert.is(new Set(runner.asked).size, runner.asked.length, "a sample was taken twice");
  assert.is(result.progress.done, result.progress.planned);
  // sleep reaches 0.8 Mpps, so half of that for both.
  const rates = result.points.filter(({ load_percent }) => load_percent === 50).map(({ offered_pps }) => offered_pps);
  assert.equal(rates, [400_000, 400_000]);
  const repeats = runner.asked.slice(2).map((key) => Number(key[0]));
  assert.equal(repeats, [...repeats].sort(), "repeats come one after the other");
  assert.equal(
    result.points.map(({ load_percent, wait }) => `${load_percent} ${wait}`),
    ["0 spin", "0 sleep", "50 spin", "50 sleep", "100 spin", "100 sleep"],
  );
});

test("figures: watts, above idle, per packet, per domain; none of packets where none come", async () => {
  const { result } = await power(plan(), new FakeRunner(METER));
  const [waiting, , half] = result.points;
  assert.ok(Math.abs(waiting!.watts.median - 50) < 6, `${waiting!.watts.median}`);
  assert.ok(Math.abs(waiting!.net_watts!.median - (waiting!.watts.median - IDLE)) < 1e-9);
  for (const key of [
    "joules_per_packet",
    "net_joules_per_packet",
    "gbps_per_watt",
    "gbps_per_net_watt",
    "p99",
  ] as const) {
    assert.is(waiting![key], null, key);
    assert.ok(half![key]!.median > 0, key);
  }
  const joules = half!.joules_per_packet!.median;
  assert.ok(Math.abs(joules - half!.watts.median / 400_000) < 1e-3 * joules);
  assert.equal(
    half!.domains.map(({ name, within, idle_watts }) => [name, within, idle_watts]),
    [
      ["package-0", null, IDLE],
      ["package-0 core", "package-0", 1],
    ],
  );
  assert.ok(Math.abs(half!.domains[1]!.watts - half!.watts.median / 2) < 1e-9);
  assert.equal(result.idle, { watts: IDLE, uncertainty_watts: 0.1 });
  assert.is(half!.readings_per_second, 2);
});

test("a policy that surely takes more is said to, through drift that meets all; equal ones are not told apart", async () => {
  const { result } = await power(plan({ waits: ["spin", "sleep", "adaptive"], repeats: 7 }), new FakeRunner(METER));
  const waiting = result.verdicts.find(({ load_percent }) => load_percent === 0)!;
  assert.is(waiting.metric, "watts");
  assert.is(waiting.reason, null);
  const spin = waiting.more.find(({ wait }) => wait === "spin")!;
  assert.ok(spin.sure && Math.abs(spin.ratio - 50 / 22) < 0.05, JSON.stringify(waiting));
  assert.not.ok(waiting.more.find(({ wait }) => wait !== "spin")!.sure);
  assert.match(
    waiting.text,
    /^all on cpu, waiting for packets: (sleep|adaptive) takes less than spin \(2\.3 times as much/,
  );
});

test("nominal energy is called so everywhere, and decides nothing", async () => {
  const { result } = await power(plan(), new FakeRunner(NOMINAL), { meter: NOMINAL });
  for (const { reason, text } of result.verdicts) {
    assert.is(reason, "energy is nominal, no measurement");
    assert.match(text, "no verdict");
  }
  assert.match(result.warnings.join("\n"), /^energy is nominal, not measured/);
  const table = powerTable(result);
  assert.match(table, /energy is nominal \(TDP x busy share\), no measurement/);
  assert.match(table, /nominal W .*nominal nJ\/packet .*Gbps\/nominal W/);
  const document = powerDocument(result);
  for (const { title } of document.sections.flatMap(({ plots = [] }) => plots)) {
    if (!title.includes("latency")) assert.match(title.toLowerCase(), "nominal");
  }
  for (const { columns } of document.sections.flatMap(({ tables = [] }) => tables)) {
    for (const { name, unit } of columns) {
      if (unit === "W" && !name.startsWith("package")) assert.match(name, "nominal");
      if (unit === "nJ" || unit === "Gbps/W") assert.match(name, "nominal");
    }
  }
  assert.ok(
    document.summary.every((line) => !/\d W|Gbps\/W/.test(line) || line.includes("nominal")),
    document.summary.join("\n"),
  );
});

test("two repeats decide nothing, and that is said", async () => {
  const { result } = await power(plan({ repeats: 2 }), new FakeRunner(METER));
  assert.ok(result.verdicts.every(({ reason }) => reason === "2 repeats are too few"));
  assert.ok(result.warnings.some((line) => line.startsWith("2 repeats are too few")));
});

test("what was measured before a meter fails is the result, and resuming goes on from there", async () => {
  const folder = mkdtempSync(join(tmpdir(), "wingbeat-power-"));
  try {
    const identity = { format: 1 };
    let store = SampleStore.open(folder, identity, false, () => {});
    const failing = new FakeRunner(METER, (count) => {
      if (count === 9) throw new RunError("RAPL", "the meter stopped answering");
    });
    const first = await power(plan(), failing, { store });
    store.close();
    assert.match((first.error as Error).message, "stopped answering");
    assert.is(first.result.state, "interrupted");
    assert.is(first.result.samples.length, 9);
    assert.ok(first.result.warnings[0]!.startsWith("interrupted after"));
    store = SampleStore.open(folder, identity, true, () => {});
    const rest = new FakeRunner(METER);
    const second = await power(plan(), rest, { store });
    store.close();
    const whole = await power(plan(), new FakeRunner(METER));
    assert.is(rest.asked.length, 30 - 9);
    assert.equal(second.result.points, whole.result.points);
    assert.equal(second.result.verdicts, whole.result.verdicts);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("stopped by the user: no error, figures of what there is", async () => {
  const stop = new AbortController();
  const runner = new FakeRunner(METER, (count) => {
    if (count === 12) stop.abort();
  });
  const { result, error } = await power(plan(), runner, { signal: stop.signal });
  assert.is(error, undefined);
  assert.is(result.state, "interrupted");
  assert.ok(result.points.length > 0);
});

test("loads and policies that make no sense are refused", () => {
  assert.equal(parseLoads("100, 0,50%,50"), [0, 50, 100]);
  for (const text of ["", "101", "-1", "ten", "1,,2"]) assert.throws(() => parseLoads(text), /--loads: found/);
  assert.equal(parseWaits("sleep,all"), ["sleep", "spin", "yield", "adaptive"]);
  assert.throws(
    () => parseWaits("nap"),
    (error: Error) => error instanceof ConfigError && /takes spin, yield/.test(error.message),
  );
});

test.run();
