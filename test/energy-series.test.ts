/** Meters that send: files and commands, good ones and bad ones. */
import { appendFileSync, existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ConfigError, RunError } from "../runtime/errors.js";
import { openRecorder, parseMeter } from "../runtime/measure/energy/choose.js";
import { CommandMeter } from "../runtime/measure/energy/command-meter.js";
import { FileMeter } from "../runtime/measure/energy/file-meter.js";
import { SourceRecorder } from "../runtime/measure/energy/recorder.js";
import { parseWatts } from "../runtime/measure/energy/series.js";
import { folder } from "./chain-support.js";
import { freshSeed, Random } from "./support/random.js";

/** Wall time and the recorder's clock, which has another zero. */
const WALL = Date.UTC(2026, 0, 31, 12);
let now = 0;
const clock = () => now;
const wall = { now: () => WALL + now - 5000 };
const at = (ms: number) => (WALL + ms - 5000) / 1000;
const iso = (ms: number) => new Date(WALL + ms - 5000).toISOString();

test.before.each(() => {
  now = 5000;
});

function csv(text: string): { path: string; open(): SourceRecorder } {
  const path = join(folder({ "meter.csv": text }), "meter.csv");
  return { path, open: () => new SourceRecorder([new FileMeter(path, clock, wall)], clock) };
}

function fails(call: () => unknown, kind: typeof RunError | typeof ConfigError, words: RegExp): void {
  assert.throws(call, (error: Error) => {
    if (!(error instanceof kind)) throw error;
    assert.match(error.message, words);
    return true;
  });
}

test("a file that grows: a span's joules are those of the line through its samples", () => {
  const { path, open } = csv(`time,watts\n# outlet 3\n${iso(3000)},10\n${iso(4000)};20 W\n`);
  const recorder = open();
  assert.is(recorder.info.intervalMs, 1000);
  now = 4500;
  recorder.start();
  // A line that is not whole yet waits for its end.
  appendFileSync(path, `${at(5000)},30\n${at(6000)},1`);
  now = 6000;
  fails(() => recorder.stop(), RunError, /1 of its samples fell into 1\.50 s/);
  recorder.start();
  appendFileSync(path, `0\n${at(7000)},10\r\n${at(8000)},50\n`);
  now = 8500;
  const span = recorder.stop();
  // From 6000: 10 W to 7000, the line to 50 W at 8000, held to 8500.
  assert.ok(Math.abs(span.joules - (10 + 30 + 25)) < 1e-6, `${span.joules}`);
  assert.is(span.readings, 3);
  assert.ok(span.uncertainty_joules >= 20, `${span.uncertainty_joules}`);
  recorder.close();
});

test("random samples: the file's span equals a sum over many small steps", () => {
  const seed = freshSeed();
  const r = new Random(seed);
  const times = [0];
  while (times.length < 200) times.push(times.at(-1)! + r.int(1, 120));
  const samples = times.map((ms) => [ms, r.int(0, 400) / 4] as const);
  const { open } = csv(
    samples
      .map(([ms, watts]) => `${at(ms)},${watts}`)
      .join("\n")
      .concat("\n"),
  );
  const from = r.int(0, 3000);
  const to = r.int(from + 1000, times.at(-1)!);
  now = from;
  const recorder = open();
  recorder.start();
  now = to;
  const { joules } = recorder.stop();
  recorder.close();
  const line = (ms: number) => {
    const i = samples.findIndex(([end]) => end >= ms);
    const [before, after] = [samples[Math.max(0, i - 1)]!, samples[i]!];
    if (after[0] === before[0]) return after[1];
    return before[1] + ((after[1] - before[1]) * (ms - before[0])) / (after[0] - before[0]);
  };
  let expected = 0;
  for (let ms = from; ms < to; ms++) expected += (line(ms) + line(ms + 1)) / 2 / 1000;
  assert.ok(Math.abs(joules - expected) < 1e-4 * expected, `${joules}, expected ${expected}; seed ${seed}`);
});

test("a file that was written ahead of time is a meter, too", () => {
  const lines = Array.from({ length: 100 }, (_, i) => `${at(i * 1000)},42`);
  const { open } = csv(lines.join("\n").concat("\n"));
  const recorder = open();
  recorder.start();
  now += 10_000;
  const { joules, uncertainty_joules } = recorder.stop();
  assert.ok(Math.abs(joules - 420) < 1e-6);
  // The last digit of "42", half of it, over ten seconds.
  assert.ok(Math.abs(uncertainty_joules - 5) < 1e-6, `${uncertainty_joules}`);
  recorder.close();
});

test("bad files are refused with file and line", () => {
  const good = `${at(3000)},10\n${at(4000)},10\n`;
  for (const [text, words] of [
    ["", /has 0 samples; two are needed/],
    [`time,watts\n${at(4000)},10\n`, /has 1 samples/],
    [`${good}${at(4500)},hot\n`, /meter\.csv:3: ".*hot"; expected time and watts/],
    [`${good}${at(4500)},-3\n`, /meter\.csv:3/],
    [`${good}${at(4500)}\n`, /meter\.csv:3/],
    [`${good}${at(4500)},1,2\n`, /meter\.csv:3/],
    [`${at(3000) * 1000},10\n${at(4000) * 1000},10\n`, /meter\.csv:1: .*1769860800\.0,41\.5/],
    [`yesterday,10\n${good}`, /meter\.csv:1/],
    [`${good}${at(2000)},10\n`, /meter\.csv:3: its time is 2\.000 s before the sample before it/],
    [`time,watts\ntime,watts\n\u0000\u0001\n${good}`, /meter\.csv:3/],
    [
      `${at(-90_000)},10\n${at(-89_000)},10\n`,
      /its last sample is 94\.0 s old\n {2}remedy: .*its clock is this machine's/,
    ],
  ] as const) {
    fails(() => csv(text).open(), ConfigError, words);
  }
  fails(
    () => new FileMeter("/no/such/meter.csv", clock),
    ConfigError,
    /--meter file:\/no\/such\/meter\.csv: cannot be read/,
  );
});

test("what is no regular file is refused, and not read for ever", () => {
  for (const path of [folder(), "/dev/zero"]) {
    fails(() => new FileMeter(path, clock, wall), ConfigError, /is no regular file/);
  }
});

test("a file that stops growing, is cut, goes wrong, or is of another time fails the span", () => {
  const good = `${at(4000)},10\n${at(5000)},10\n`;
  const cases: readonly (readonly [(path: string) => void, number, RegExp])[] = [
    [() => {}, 20_000, /its last sample is 20\.0 s old: the meter stopped answering/],
    [(path) => truncateSync(path, 5), 1000, /it was cut or written anew/],
    [(path) => appendFileSync(path, "nonsense\n"), 1000, /meter\.csv:3: "nonsense"/],
    [
      (path) => appendFileSync(path, `${at(3_606_000)},10\n`),
      1000,
      /meter\.csv:3: arrived 3600\.0 s before the time it bears/,
    ],
  ];
  for (const [happens, ms, words] of cases) {
    now = 5000;
    const { path, open } = csv(good);
    const recorder = open();
    recorder.start();
    happens(path);
    now += ms;
    fails(() => recorder.stop(), RunError, words);
    recorder.close();
  }
});

test("watts as people write them", () => {
  for (const [text, watts, step] of [
    ["41", 41, 1],
    [" 41.50W", 41.5, 0.01],
    ["1.2e2 watts", 120, 10],
    [".5", 0.5, 0.1],
  ] as const) {
    const read = parseWatts(text)!;
    assert.is(read.watts, watts, text);
    assert.ok(Math.abs(read.step - step) < 1e-12, `${text}: ${read.step}`);
  }
  for (const text of ["", "-1", "NaN", "Infinity", "1e99999", "12 kW", "0x10", "1,5", "3 4", "41500000", "1e99"]) {
    assert.is(parseWatts(text), undefined, text);
  }
});

const real = () => performance.now();
/** One process for all of its lines: to start one for each takes long on a busy machine. */
const loop = (print: string) => `exec "${process.execPath}" -e 'setInterval(() => console.log("${print}"), 20)'`;

test("a command of constant watts: joules are watts times seconds", async () => {
  const recorder = (await openRecorder(parseMeter(`command:${loop("42.0")}`), () => {}))!;
  await recorder.measureIdle(500);
  recorder.start();
  await delay(600);
  const span = recorder.stop();
  recorder.close();
  // Between two looks at the clock another may have the processor; that sums are exact is shown with a clock that stands still.
  const near = (watts: number) => Math.abs(watts - 42) < 0.2 * 42;
  assert.ok(near(span.joules / span.seconds), `${span.joules} J in ${span.seconds} s`);
  assert.ok(near(span.idle_watts!), `${span.idle_watts} W`);
  assert.ok(span.readings >= 2);
  assert.is(span.meter.kind, "command");
  assert.is(span.meter.provenance, "measured");
});

test("commands that are no meters are refused, with their own words", async () => {
  for (const [command, words] of [
    ["echo 3; echo no sensor >&2; exit 4", /ended \(exit code 4\), saying: no sensor/],
    ["echo 3; echo three; sleep 60", /line 2 is "three"; expected watts/],
    ["echo -5; sleep 60", /line 1 is "-5"/],
    ["wingbeat-no-such-meter", /ended \(exit code 127\), saying: .*not found/],
    ["head -c 9000 /dev/zero | tr '\\0' 5; sleep 60", /line 1 has no end after 4096 characters/],
  ] as const) {
    try {
      (await CommandMeter.open(command, real)).close();
      assert.unreachable(command);
    } catch (error) {
      assert.instance(error, RunError, `${error}`);
      assert.match((error as Error).message, words);
      assert.match((error as Error).message, /remedy: it has to print a line of watts/);
    }
  }
});

test("a command that ends within a span fails it, and its children end with the meter", async () => {
  const path = join(folder(), "pid");
  const recorder = (await openRecorder(
    parseMeter(`command:echo 5; echo 5; (echo $$ > ${path}; sleep 0.3; exit 3)`),
    () => {},
  ))!;
  recorder.start();
  while (!existsSync(path) || !readFileSync(path, "utf8").endsWith("\n")) await delay(20);
  while (existsSync(`/proc/${readFileSync(path, "utf8").trim()}`)) await delay(20);
  // It is gone; what its pipes say of that comes next.
  await delay(100);
  fails(() => recorder.stop(), RunError, /ended \(exit code 3\)/);
  recorder.close();
  const pids = join(folder(), "pids");
  writeFileSync(pids, "");
  const meter = await CommandMeter.open(
    `(while :; do sh -c 'echo $$ >> ${pids}; exec sleep 0.05'; echo 7; done)`,
    real,
  );
  meter.close();
  await delay(300);
  const count = readFileSync(pids, "utf8").length;
  await delay(300);
  assert.is(readFileSync(pids, "utf8").length, count, "it goes on");
});

test.run();
