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
/** One process for all of its lines: to start one for each takes long on a busy machine. */
const meter = (body: string) => `command:exec "${process.execPath}" -e '${body}'`;
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
    meter('setInterval(() => console.log("30.0"), 20)'),
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
  // Between two looks at the clock another process may have the processor, which the meter's own uncertainty knows nothing of.
  const near = (watts: number, expected: number) => assert.ok(Math.abs(watts - expected) < 6, `${watts} W`);
  const off: number[] = [];
  for (const { energy } of result.samples) {
    const { joules, seconds, uncertainty_joules, idle_watts, readings } = energy!;
    assert.ok(readings >= 2);
    near(joules / seconds, 30);
    near(idle_watts!, 30);
    off.push(Math.abs(joules - 30 * seconds) - uncertainty_joules);
  }
  // Which does not happen four times in a row.
  assert.ok(Math.min(...off) <= 0.05, `${off} J`);
  for (const point of result.points) {
    near(point.watts.median, 30);
    near(point.net_watts!.median, 0);
    if (point.load_percent === 100) near(point.joules_per_packet!.median * point.mpps.median * 1e6, 30);
  }
  assert.match(done.stdout, /measured by command exec/);
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
  const command = meter(
    'let left = 150; setInterval(() => { if (left-- > 0) return console.log(30); console.error("battery empty"); process.exit(0); }, 20)',
  );
  const args = ["power", "chain.json", ...FEW, "--repeats", "40", "--meter", command, "--report", "report"];
  const done = wingbeat(args, cwd);
  assert.is(done.code, 1, done.stdout);
  assert.match(done.stderr, /ended \(exit code 0\), saying: battery empty/);
  assert.match(done.stderr, /remedy: /);
  const header = readFileSync(join(cwd, "report", "samples.jsonl"), "utf8").split("\n")[0]!;
  assert.match(header, /"meter":"command exec/);
});

test("Ctrl-C ends it in order", async () => {
  const cwd = folder(CHAIN);
  const args = ["power", "chain.json", ...FEW, "--repeats", "500", "--meter", "nominal:30", "--report", "report"];
  const samples = join(cwd, "report", "samples.jsonl");
  const begun = () => existsSync(samples) && readFileSync(samples, "utf8").split("\n").length > 2;
  const done = await interrupted(args, cwd, begun, "SIGINT");
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
