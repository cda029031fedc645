/** Threads of real runs as the system sees them: pinned and classed as told, and no other thread of the process with them. */
import { spawn, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { RunResult } from "../runtime/engine/result.js";
import { AppliedSettings } from "../runtime/engine/thread-settings.js";
import { affinity, scheduling } from "../runtime/native/sched.js";
import { folder, MAIN, run } from "./chain-support.js";
import { skipUnless } from "./skip.js";

const cpus = affinity();
const last = cpus.at(-1)!;
const FORWARD = {
  "chain.json": {
    name: "endless",
    ports: { in: { driver: "generator", count: 1000, size: 64 }, out: { driver: "null" } },
    policy: "policy.csv",
  },
  "policy.csv": "*,ingress,egress\n",
};

interface Seen {
  readonly tid: string;
  readonly cpus: string;
  readonly nice: number;
  readonly priority: number;
  readonly policy: number;
}

/** Fields 19, 40 and 41 of /proc/PID/task/TID/stat (proc(5)), counted from behind the name. */
function threadsOf(pid: number): Seen[] {
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks).flatMap((tid) => {
    try {
      const fields = readFileSync(join(tasks, tid, "stat"), "utf8")
        .split(") ")
        .at(-1)!
        .split(" ");
      const cpus = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync(join(tasks, tid, "status"), "utf8"))![1]!;
      return [{ tid, cpus, nice: Number(fields[16]), priority: Number(fields[37]), policy: Number(fields[38]) }];
    } catch {
      return [];
    }
  });
}

const plain = ({ policy, nice, cpus: list }: Seen, all: string) => policy === 0 && nice === 0 && list === all;
const row = ({ cpus: list, policy, priority, nice }: Seen) =>
  `CPU ${list}, policy ${policy}, ${priority}, nice ${nice}`;

/**
 * An endless run, until the threads that are not as usual are those that are wanted, and then Ctrl-C.
 * @param wanted rows as of {@link row}
 */
async function observe(args: readonly string[], wanted: readonly string[]) {
  const cwd = folder(FORWARD);
  const json = join(cwd, "result.json");
  const command = [MAIN, "run", "chain.json", "--loop", "0", "--quiet", "--json", json, ...args];
  const child = spawn(process.execPath, command, { cwd, stdio: ["ignore", "ignore", "pipe"] });
  let stderr = "";
  child.stderr.on("data", (text) => {
    stderr += text;
  });
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  const all = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync("/proc/self/status", "utf8"))![1]!;
  try {
    let rows: string[] = [];
    let usual = 0;
    const end = Date.now() + 100_000;
    while (Date.now() < end && rows.join() !== wanted.join() && child.exitCode === null) {
      await delay(20);
      const seen = child.exitCode === null ? threadsOf(child.pid!) : [];
      const special = seen.filter((one) => !plain(one, all));
      usual = seen.length - special.length;
      rows = special.map(row).sort();
    }
    child.kill("SIGINT");
    const code = await ended;
    assert.is(code, 0, stderr);
    assert.equal(rows, wanted);
    assert.ok(usual >= 5, "main, the pool and others are as they were");
    const result = JSON.parse(readFileSync(json, "utf8")) as RunResult;
    assert.ok(result.ledger.balanced);
    return result.threads;
  } finally {
    child.kill("SIGKILL");
  }
}

const root = process.getuid?.() === 0;
const lack = !root ? "classes need root" : cpus.length < 2 ? "one CPU has to be left to others" : undefined;
const enough = () => !skipUnless(lack === undefined, lack ?? "");

for (const [wait, name, policy] of [
  ["adaptive", "fifo", 1],
  ["spin", "fifo", 1],
  ["yield", "rr", 2],
] as const) {
  test(`${name} on one CPU, ${wait}: applied to one thread alone, and Ctrl-C ends it`, async () => {
    if (!enough()) return;
    const args = ["--cores", `io=${last}`, "--sched", `${name}:50`, "--wait", wait];
    const threads = await observe(args, [`CPU ${last}, policy ${policy}, 50, nice 0`]);
    assert.equal(threads, [{ thread: 0, role: "io", cpu: last, class: name, priority: 50, nice: 0, wait }]);
  });
}

test("batch with a nice value, two cores on CPUs of their own", async () => {
  if (!enough()) return;
  const [first] = cpus;
  const wanted = [first, last].map((cpu) => `CPU ${cpu}, policy 3, 0, nice -5`);
  const threads = await observe(["--cores", `d2@${first},${last}`, "--sched", "io=batch:-5"], wanted.sort());
  assert.equal(
    threads.map(({ cpu, class: name, nice }) => [cpu, name, nice]),
    [
      [first, "batch", -5],
      [last, "batch", -5],
    ],
  );
});

test("without options nothing is touched", () => {
  const { threads } = run(folder(FORWARD), "chain.json", "--wait", "io=sleep");
  assert.equal(threads[0], { thread: 0, role: "io", cpu: null, class: "other", priority: 0, nice: 0, wait: "sleep" });
});

test("a thread is what it was when its work is over, and where a right is missing", () => {
  if (!enough()) return;
  const before = { cpus: affinity(), ...scheduling() };
  const now = () => ({ cpus: affinity(), ...scheduling() });
  const plan = { role: "nf", wait: "adaptive", cpu: last } as const;
  for (const sched of [
    { class: "rr", priority: 2 },
    { class: "batch", nice: -3 },
    { class: "other", nice: 4 },
  ] as const) {
    const settings = new AppliedSettings(0, { ...plan, sched });
    const { cpu, ...rest } = settings.describe();
    assert.is(cpu, last);
    assert.equal(affinity(), [last]);
    assert.equal(
      { class: rest.class, ...("nice" in sched ? { nice: rest.nice } : { priority: rest.priority }) },
      sched,
    );
    settings.restore();
    settings.restore();
    assert.equal(now(), before);
  }
  assert.throws(() => new AppliedSettings(0, { ...plan, sched: { class: "fifo", priority: 100 } }), /thread 0 \(nf\)/);
  assert.equal(now(), before);
});

/** One run without CAP_SYS_NICE, and without limits that stand for it. */
function without(...args: string[]) {
  const cwd = folder(FORWARD);
  const drop = ["--bounding-set=-sys_nice", "--inh-caps=-sys_nice"];
  const run = [process.execPath, MAIN, "run", "chain.json", "--quiet", ...args];
  const limits = ["--rtprio=0:0", "--nice=0:0"];
  return spawnSync("prlimit", [...limits, "setpriv", ...drop, ...run], { cwd, encoding: "utf8", timeout: 120_000 });
}

test("a missing right ends the run with the remedy", () => {
  if (!enough()) return;
  if (skipUnless(spawnSync("which", ["setpriv", "prlimit"]).status === 0, "setpriv and prlimit (util-linux)")) return;
  const fifo = without("--sched", "fifo:50");
  assert.is(fifo.status, 1, fifo.stderr);
  assert.match(fifo.stderr, /thread 0 \(io\): the class fifo with priority 50 needs CAP_SYS_NICE.*up to 0/);
  assert.match(fifo.stderr, /remedy: sudo prlimit --pid \$\$ --rtprio=50:50/);
  const nice = without("--sched", "batch:-5");
  assert.is(nice.status, 1, nice.stderr);
  assert.match(nice.stderr, /batch with nice -5 needs CAP_SYS_NICE.*from 0 on[\s\S]*--nice=25:25/);
});

test("refusals end with exit code 2 before anything runs", () => {
  if (!enough()) return;
  const cwd = folder(FORWARD);
  const code = (...args: string[]) => {
    const { status, stderr } = spawnSync(process.execPath, [MAIN, "run", "chain.json", "--quiet", ...args], {
      ...{ cwd, encoding: "utf8" },
      timeout: 120_000,
    });
    return `${status} ${stderr}`;
  };
  assert.match(code("--cores", `d1@${last + 1}`), /^2 [\s\S]*CPU \d+ is not there[\s\S]*remedy: those it may use/);
  if (cpus.length === 2) assert.match(code("--cores", "d2", "--sched", "fifo"), /^2 [\s\S]*leave none of the CPUs/);
  assert.match(code("--wait", "io=doze"), /^2 [\s\S]*--wait/);
});

test.run();
