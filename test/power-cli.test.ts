/** `wingbeat power` from the command line, on meters whose truth is known. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { addPowerCommand } from "../runtime/cli/power.js";
import { ConfigError } from "../runtime/errors.js";
import type { PowerResult } from "../runtime/experiment/power-result.js";
import { folder, interrupted, wingbeat } from "./chain-support.js";

const CHAIN = {
  "chain.json": {
    name: "forward",
    ports: { in: { driver: "generator", count: 1000, size: 512 }, out: { driver: "null" } },
    policy: "policy.csv",
  },
  "policy.csv": "*,ingress,egress\n",
};
const SMALL = ["--quick", "--loads", "0,100", "--wait", "sleep,spin", "--repeats", "1", "--warm-up", "30"];
const FEW = ["--quick", "--loads", "100", "--wait", "sleep", "--warm-up", "30", "--window", "300"];
const meter = (print: string) => `command:while :; do echo ${print}; sleep 0.05; done`;
/** The verb in this process. */
const verb = (...args: string[]) => {
  const program = new Command().exitOverride();
  addPowerCommand(program);
  return program.parseAsync(["power", ...args], { from: "user" });
};
const read = (path: string) => JSON.parse(readFileSync(path, "utf8")) as PowerResult;

test("a meter of constant watts: joules are watts times seconds, and what is above idle is nothing", () => {
  const cwd = folder(CHAIN);
  const args = [
    "power",
    "chain.json",
    ...SMALL,
    "--quick",
    "--meter",
    meter("30.0"),
    "--json",
    "r.json",
    "--report",
    "report",
  ];
  const done = wingbeat(args, cwd);
  assert.is(done.code, 0, done.stderr);
  const result = read(join(cwd, "r.json"));
  assert.is(result.verb, "power");
  assert.is(result.state, "complete");
  assert.is(result.meter.provenance, "measured");
  assert.is(result.samples.length, 4);
  for (const { energy } of result.samples) {
    const { joules, seconds, uncertainty_joules, idle_watts, readings } = energy!;
    assert.ok(readings >= 2);
    // The meter's own uncertainty knows nothing of when a busy machine looks at its clock: half a percent for that.
    assert.ok(
      Math.abs(joules - 30 * seconds) <= uncertainty_joules + 0.15 * seconds,
      `${joules} J in ${seconds} s +- ${uncertainty_joules}`,
    );
    assert.ok(Math.abs(idle_watts! - 30) < 0.1);
  }
  for (const point of result.points) {
    assert.ok(Math.abs(point.watts.median - 30) < 0.1);
    assert.ok(Math.abs(point.net_watts!.median) < 0.2);
    if (point.load_percent === 100) {
      const joules = point.joules_per_packet!.median;
      assert.ok(Math.abs(joules * point.mpps.median * 1e6 - 30) < 0.1);
    }
  }
  assert.match(done.stdout, /measured by command while/);
  const page = readFileSync(join(cwd, "report", "index.html"), "utf8");
  assert.match(page, "Power of forward");
  assert.ok(page.split("<svg").length > 3, "plots are in the page");
  assert.ok(existsSync(join(cwd, "report", "plots", "gbps-per-watt.png")));
  assert.match(readFileSync(join(cwd, "report", "data", "samples.csv"), "utf8"), "uncertainty_joules");
});

test("no meter: nominal, said so, and never nothing", async () => {
  const cwd = folder(CHAIN);
  const json = join(cwd, "r.json");
  await verb(join(cwd, "chain.json"), ...FEW, "--repeats", "2", "--meter", "nominal:65", "--json", json, "--quiet");
  const result = read(json);
  assert.is(result.state, "complete");
  assert.ok(result.points.every(({ watts }) => watts.median > 0));
  assert.ok(result.verdicts.every(({ reason }) => reason !== null));
  assert.match(result.warnings[0]!, /^energy is nominal, not measured: .*TDP of 65 W \(as stated\)/);
  assert.equal(
    result.manifest.meters.map(({ provenance }) => provenance),
    ["nominal"],
  );
});

test("a meter that ends while it is needed ends the verb with its words; what was measured is kept", () => {
  const cwd = folder(CHAIN);
  const command = "command:i=0; while [ $i -lt 60 ]; do echo 30; sleep 0.05; i=$((i+1)); done; echo battery empty >&2";
  const args = ["power", "chain.json", ...FEW, "--repeats", "40", "--meter", command, "--report", "report"];
  const done = wingbeat(args, cwd);
  assert.is(done.code, 1, done.stdout);
  assert.match(done.stderr, /ended \(exit code 0\), saying: battery empty/);
  assert.match(done.stderr, /remedy: /);
  const header = readFileSync(join(cwd, "report", "samples.jsonl"), "utf8").split("\n")[0]!;
  assert.match(header, /"meter":"command i=0/);
});

test("Ctrl-C ends it in order", async () => {
  const cwd = folder(CHAIN);
  const args = ["power", "chain.json", ...FEW, "--repeats", "500", "--meter", "nominal:30", "--report", "report"];
  const done = await interrupted(args, cwd, 4000, "SIGINT");
  assert.is(done.code, 1, done.stderr);
  assert.match(done.stderr, /stopping/);
  assert.not.match(done.stderr, /^\s+at /m);
});

test("what makes no sense is refused before anything is measured", async () => {
  const chain = join(folder(CHAIN), "chain.json");
  for (const [args, words] of [
    [["--meter", "none"], /without a meter there is nothing to tell/],
    [["--meter", "sun"], /found "sun"; it takes none, auto, rapl/],
    [["--loads", "120"], /percent from 0 to 100/],
    [["--wait", "nap"], /--wait: found "nap"/],
    [["--resume"], /name its folder/],
    [["--place", "nids=gpu"], /no NF "nids"/],
    [["--placements", "gpu", "--place", "x=cpu"], /--place says where NFs run/],
    [["--tdp", "hot"], /--tdp: expected watts/],
    [["--device", "quantum"], /--device: found "quantum"/],
    [["--in", "null"], /null receives nothing/],
    [["--window", "1"], /--window: expected a whole number from 10/],
  ] as const) {
    const error = await verb(chain, ...args).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    assert.instance(error, ConfigError, `${args}: ${error}`);
    assert.match((error as Error).message, words);
  }
});

test.run();
