import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Sample } from "../runtime/experiment/cell.js";
import { type Group, type Question, statement, verdicts } from "../runtime/experiment/verdict.js";
import { cellOf, RAPL, type SampleShape, sampleOf, spanOf } from "./support/samples.js";

const NOISE = [1, 1.01, 0.99, 1.005, 0.995, 1.008, 0.992];

/** Seven repeats on one side, each figure times a little noise. */
function group(on: "cpu" | "gpu", shape: SampleShape, name = `all on ${on}`): Group {
  const samples = NOISE.map((noise, repeat) =>
    sampleOf({
      ...{ cell: cellOf(on), repeat },
      ...shape,
      gbps: (shape.gbps ?? 1) * noise,
      p99: (shape.p99 ?? 5000) * noise,
    }),
  );
  return { name, samples };
}

function question(metric: Question["metric"], cpu: readonly Group[], gpu: readonly Group[]): Question {
  return { metric, subject: "64 B", a: { label: "cpu", groups: cpu }, b: { label: "gpu", groups: gpu } };
}

const ask = (metric: Question["metric"], cpu: Group, gpu: Group) => verdicts([question(metric, [cpu], [gpu])])[0]!;
const edit = (of: Group, change: (sample: Sample, i: number) => Sample): Group => {
  return { ...of, samples: of.samples.map(change) };
};

test("more throughput is better, less latency is", () => {
  const fast = ask("gbps", group("cpu", { gbps: 1 }), group("gpu", { gbps: 2 }));
  assert.is(fast.word, "gpu");
  assert.ok(Math.abs(fast.ratio!.ratio - 2) < 0.01);
  assert.ok(fast.ratio!.low < 2 && fast.ratio!.high > 2 && fast.p! < 0.001);
  assert.is(ask("gbps", group("cpu", { gbps: 2 }), group("gpu", { gbps: 1 })).word, "cpu");
  assert.is(ask("gbps", group("cpu", {}), group("gpu", {})).word, "no difference");
  const slow = ask("p99", group("cpu", { p99: 5000 }), group("gpu", { p99: 50_000 }));
  assert.is(slow.word, "cpu");
  assert.ok(Math.abs(slow.ratio!.ratio - 10) < 0.1);
  assert.is(ask("p99", group("cpu", { p99: 50_000 }), group("gpu", { p99: 5000 })).word, "gpu");
  assert.match(
    statement(fast),
    /^64 B, throughput: gpu \(all on gpu has 2\.00 times \(.* to .*, 7 pairs\) the throughput of all on cpu; beyond/,
  );
});

test("the best of each side is compared, and named", () => {
  const verdict = verdicts([
    question(
      "p99",
      [group("cpu", { p99: 9000 }, "one core"), group("cpu", { p99: 8000 }, "two cores")],
      [group("gpu", { p99: 3000 }, "nids"), group("gpu", { p99: 4000 }, "both")],
    ),
  ])[0]!;
  assert.equal([verdict.a, verdict.b, verdict.word], ["two cores", "nids", "gpu"]);
});

test("any two placements can be asked of", () => {
  const two: Question<"nids" | "ipsec"> = {
    metric: "gbps",
    subject: "IMIX",
    a: { label: "nids", groups: [group("gpu", { gbps: 3 }, "nids on gpu")] },
    b: { label: "ipsec", groups: [group("gpu", { gbps: 2 }, "ipsec on gpu")] },
  };
  assert.is(verdicts([two])[0]!.word, "nids");
});

test("an emulated device's verdict says nothing about hardware", () => {
  const verdict = ask("gbps", group("cpu", {}), group("gpu", { gbps: 3, emulated: true }));
  assert.equal([verdict.word, verdict.emulated], ["gpu", true]);
  assert.match(statement(verdict), /an emulated device took part: it says nothing about hardware$/);
  assert.is(ask("gbps", group("cpu", {}), group("gpu", {})).emulated, false);
  const refused = ask("gbps_per_watt", group("cpu", {}), group("gpu", { emulated: true }));
  assert.equal([refused.word, refused.emulated], ["not comparable", true]);
});

test("energy: measured by one meter, or not comparable", () => {
  const cpu = group("cpu", { energy: spanOf(20) });
  const gpu = group("gpu", { gbps: 2, energy: spanOf(20) });
  assert.is(ask("gbps_per_watt", cpu, gpu).word, "gpu");
  assert.is(ask("gbps_per_net_watt", cpu, gpu).word, "gpu");
  const reason = (other: Group, metric: Question["metric"] = "gbps_per_watt") => {
    const { word, ratio, p, margin, reason: text } = ask(metric, cpu, other);
    assert.equal([word, ratio, p, margin], ["not comparable", null, null, null]);
    return text;
  };
  const nominal = spanOf(20, 10, { ...RAPL, kind: "nominal", name: "nominal", provenance: "nominal" });
  assert.match(reason(group("gpu", { energy: nominal })), /^all on gpu: its energy is nominal/);
  assert.match(reason(group("gpu", {})), /no meter was running: see `wingbeat doctor`/);
  assert.match(
    reason(edit(gpu, (sample, i) => (i === 2 ? { ...sample, energy: null } : sample))),
    /no meter was running in repeats 2/,
  );
  const other = spanOf(20, 10, { ...RAPL, name: "amdgpu" });
  assert.match(reason(group("gpu", { energy: other })), /different meters: RAPL \(powercap\), amdgpu/);
  assert.match(
    reason(group("gpu", { energy: spanOf(20, null) }), "gbps_per_net_watt"),
    /idle machine was not measured/,
  );
  assert.match(reason(group("gpu", { energy: spanOf(9) }), "gbps_per_net_watt"), /no more than the idle machine takes/);
});

test("the uncertainty of the meter counts against a verdict", () => {
  const cpu = (uncertainty: number) => group("cpu", { energy: spanOf(20, 18, RAPL, uncertainty) });
  const gpu = (uncertainty: number) => group("gpu", { gbps: 1.3, energy: spanOf(20, 18, RAPL, uncertainty) });
  assert.is(ask("gbps_per_watt", cpu(0.4), gpu(0.4)).word, "gpu");
  assert.is(ask("gbps_per_net_watt", cpu(0.4), gpu(0.4)).word, "no difference", "0.4 J of 20 are 0.4 of 2 above idle");
});

test("latency is not compared where packets were lost, or none left", () => {
  const lossy = ask("p99", group("cpu", {}), group("gpu", { p99: 10, loss: 0.02 }));
  assert.is(lossy.word, "not comparable");
  assert.match(lossy.reason, /all on gpu: it lost 2\.0 % of the packets/);
  assert.match(ask("p99", group("cpu", {}), group("gpu", { count: 0 })).reason, /no packet left in repeats 0, 1/);
});

test("unlike loads, nothing measured, zeros and too few repeats are not comparable, and say why", () => {
  const offered = { kind: "offered", pps: 1e6, ring: 4096 } as const;
  assert.match(
    ask("gbps", group("cpu", {}), group("gpu", { load: offered })).reason,
    /all on cpu was measured under saturation load, all on gpu under offered/,
  );
  const mixed = edit(group("gpu", {}), (sample, i) => (i === 0 ? { ...sample, load: offered } : sample));
  assert.match(ask("gbps", group("cpu", {}), mixed).reason, /different kinds of load/);
  assert.match(verdicts([question("gbps", [group("cpu", {})], [])])[0]!.reason, /nothing was measured on gpu/);
  assert.match(ask("gbps", group("cpu", {}), { name: "x", samples: [] }).reason, /x: it was not measured/);
  assert.match(ask("gbps", group("cpu", {}), group("gpu", { gbps: 0 })).reason, /throughput of repeat 0 is 0/);
  const few = group("gpu", { gbps: 3 });
  const verdict = ask("gbps", group("cpu", {}), { ...few, samples: few.samples.slice(0, 2) });
  assert.is(verdict.word, "not comparable");
  assert.match(verdict.reason, /7 and 2 repeats; fewer than 3 decide nothing/);
});

test("a group that cannot take part is left out by name, the others are compared", () => {
  const verdict = verdicts([
    question(
      "p99",
      [group("cpu", {})],
      [group("gpu", { p99: 10, loss: 0.5 }, "lossy"), group("gpu", { p99: 900 }, "fine")],
    ),
  ])[0]!;
  assert.equal([verdict.word, verdict.b], ["gpu", "fine"]);
  assert.match(verdict.reason, /left out: lossy: it lost 50 % of the packets/);
});

test("a group with too few repeats is not the best of its side", () => {
  const short = group("gpu", { gbps: 9 }, "short");
  const verdict = verdicts([
    question(
      "gbps",
      [group("cpu", {})],
      [{ ...short, samples: short.samples.slice(0, 2) }, group("gpu", { gbps: 3 }, "long")],
    ),
  ])[0]!;
  assert.equal([verdict.word, verdict.b], ["gpu", "long"]);
  assert.match(verdict.reason, /left out: short: it has fewer than 3 repeats/);
});

test("verdicts come in the order of the questions, those refused in between", () => {
  const cpu = group("cpu", {});
  const found = verdicts([
    question("gbps_per_watt", [cpu], [group("gpu", {})]),
    question("gbps", [cpu], [group("gpu", { gbps: 2 })]),
    question("p99", [cpu], [group("gpu", { loss: 1 })]),
    question("p99", [cpu], [group("gpu", { p99: 99_000 })]),
  ]);
  assert.equal(
    found.map(({ metric, word }) => [metric, word]),
    [
      ["gbps_per_watt", "not comparable"],
      ["gbps", "gpu"],
      ["p99", "not comparable"],
      ["p99", "cpu"],
    ],
  );
});

test.run();
