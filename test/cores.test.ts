/** What --cores, --sched and --wait say, and what a machine refuses. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { forAll, parseByRole } from "../runtime/engine/by-role.js";
import { parseCores } from "../runtime/engine/core-spec.js";
import { parseSched } from "../runtime/engine/sched-spec.js";
import { type Machine, planThreads, type ThreadOptions } from "../runtime/engine/thread-plan.js";
import { cpuListText, parseCpuList } from "../runtime/native/cpu-list.js";
import { usableCpus } from "../runtime/native/cpus.js";
import type { Finding } from "../runtime/native/finding.js";
import { lackOfRight, schedulingFindings } from "../runtime/native/sched-rights.js";
import { SystemFiles } from "../runtime/native/system-files.js";

test("lists of CPUs", () => {
  assert.equal(parseCpuList("0-3,8"), [0, 1, 2, 3, 8]);
  assert.equal(parseCpuList("5,2"), [5, 2]);
  for (const bad of ["", "a", "1-", "-1", "3-1", "1,,2", "0-99999", "1 ", " 1"]) {
    assert.is(parseCpuList(bad), undefined, bad);
  }
  assert.is(cpuListText([8, 0, 1, 2, 1, 4]), "0-2,4,8");
  assert.is(cpuListText([]), "none");
});

test("cores by count, with CPUs to deal, and by role", () => {
  assert.equal(parseCores("c1d1n2@0-3"), {
    ...{ io: 1, nf: 2, sync: 1 },
    cpus: { io: [0], nf: [1, 2], sync: [3] },
  });
  assert.equal(parseCores("d2@5,1"), { io: 2, nf: 0, sync: 0, cpus: { io: [5, 1], nf: [], sync: [] } });
  assert.equal(parseCores("io=0,2,nf=1,sync=3-5"), {
    ...{ io: 2, nf: 1, sync: 3 },
    cpus: { io: [0, 2], nf: [1], sync: [3, 4, 5] },
  });
  assert.is(parseCores("d1n2").cpus, undefined);
  const refusals: Record<string, RegExp> = {
    "d1@": /found ""/,
    "d1@x": /found "x"/,
    "d1@0@1": /d1@0@1/,
    "d1n2@0-1": /3 cores and names 2 CPUs/,
    "d1@0-1": /1 cores and names 2 CPUs/,
    "d2@1,1": /CPU 1 is named twice/,
    "n1@0": /no io core/,
    "io=0,nf=0": /CPU 0 is named twice/,
    "io=0,io=1": /names io twice/,
    "nf=1": /no io core/,
    "0,io=1": /begins without a role/,
    "io=": /found ""/,
    "io=0,gpu=1": /no role "gpu"[\s\S]*io, nf, sync/,
  };
  for (const [bad, words] of Object.entries(refusals)) {
    assert.throws(
      () => parseCores(bad),
      (error: Error) => /--cores/.test(error.message) && words.test(error.message),
      bad,
    );
  }
});

test("scheduling by role and for all", () => {
  assert.equal(parseSched("batch"), forAll({ class: "batch" }));
  assert.equal(parseSched("io=fifo:50,nf=batch:-5,sync=rr"), {
    io: { class: "fifo", priority: 50 },
    nf: { class: "batch", nice: -5 },
    sync: { class: "rr", priority: 1 },
  });
  assert.equal(parseSched("other:19").nf, { class: "other", nice: 19 });
  const bads = [
    "",
    "idle",
    "fifo:0",
    "fifo:100",
    "rr:-1",
    "rr:1.5",
    "batch:20",
    "batch:-21",
    "other:",
    "fifo:1:2",
    "io=fifo,rr",
  ];
  for (const bad of [...bads, "io=fifo,io=rr", "main=fifo", "fifo:x"])
    assert.throws(() => parseSched(bad), /--sched/, bad);
});

test("waiting by role and for all", () => {
  const parse = (text: string) => parseByRole("--wait", text, (value) => value);
  assert.equal(parse("spin"), { io: "spin", nf: "spin", sync: "spin" });
  assert.equal(parse("io=adaptive,sync=yield"), { io: "adaptive", sync: "yield" });
  for (const bad of ["io=spin,io=yield", "spin,io=yield", "x=spin", "io=spin,"]) {
    assert.throws(() => parse(bad), /--wait/, bad);
  }
});

const MACHINE: Machine = { mask: [0, 1, 2, 3], usable: [0, 1, 2, 3, 6], realTimeUs: 950_000 };
const ROLES = ["io", "nf", "nf", "sync"] as const;

function planned(
  options: Partial<ThreadOptions>,
  machine: Partial<Machine> = {},
  roles: readonly ("io" | "nf" | "sync")[] = ROLES,
) {
  const lines: string[] = [];
  const all: ThreadOptions = { cores: parseCores("c1d1n2"), wait: {}, ...options };
  const threads = planThreads(roles, all, { ...MACHINE, ...machine }, (line) => lines.push(line));
  return { threads, lines };
}

test("threads get the CPUs, classes and policies of their roles, in their order", () => {
  const cores = parseCores("io=3,nf=0,6,sync=1");
  const { threads, lines } = planned({ cores, sched: parseSched("nf=rr:7,io=other:1"), wait: { io: "spin" } });
  assert.equal(
    threads.map(({ cpu, sched, wait }) => [cpu, sched?.class, sched?.priority ?? sched?.nice, wait]),
    [
      [3, "other", 1, "spin"],
      [0, "rr", 7, "adaptive"],
      [6, "rr", 7, "adaptive"],
      [1, undefined, undefined, "adaptive"],
    ],
  );
  assert.equal(lines, []);
});

test("a role that the run has no core of is said, unless all were meant", () => {
  const { lines } = planned({ cores: parseCores("d1"), sched: parseSched("nf=batch"), wait: { sync: "spin" } }, {}, [
    "io",
  ]);
  assert.is(lines.length, 2);
  assert.match(lines[0]!, /--sched nf=: this run has no nf core/);
  assert.match(lines[1]!, /--wait sync=/);
  assert.equal(
    planned({ cores: parseCores("d1"), sched: parseSched("batch"), wait: forAll("spin") }, {}, ["io"]).lines,
    [],
  );
});

test("a CPU that is not there is refused, with those that are", () => {
  assert.throws(() => planned({ cores: parseCores("d1@4") }, {}, ["io"]), /--cores: CPU 4 [\s\S]*0-3,6/);
});

test("isolated CPUs may be named although no mask has them, as long as they are online", () => {
  const folder = mkdtempSync(join(tmpdir(), "wingbeat-cores-"));
  try {
    const files = machine(folder, {
      "/sys/devices/system/cpu/online": "0-5",
      "/sys/devices/system/cpu/isolated": "4-7",
    });
    assert.equal(usableCpus(files, [0, 1]), [0, 1, 4, 5]);
    assert.equal(usableCpus(new SystemFiles(join(folder, "nothing")), [0, 1]), [0, 1]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("real-time threads leave a CPU to everything else, or are refused", () => {
  const sched = parseSched("fifo");
  const refused = /--sched: \d threads of class fifo or rr leave none of the CPUs/;
  assert.throws(() => planned({ sched }), refused, "four that roam four CPUs");
  assert.throws(() => planned({ sched, cores: parseCores("c1d1n2@0-3") }), refused, "four on four");
  assert.throws(() => planned({ sched }, { mask: [0] }, ["io"]), refused, "a machine of one CPU");
  assert.throws(
    () => planned({ sched, cores: parseCores("d1n2@0-2") }, { mask: [0, 1, 2] }, ["io", "nf", "nf"]),
    refused,
  );
  assert.equal(planned({ sched, cores: parseCores("io=0,nf=1,6,sync=2") }).lines, [], "one is isolated");
  assert.equal(planned({ sched, cores: parseCores("d1n2@0-2") }, {}, ["io", "nf", "nf"]).lines, []);
  assert.equal(planned({ sched: parseSched("io=rr") }).lines, []);
  assert.equal(planned({ sched: parseSched("batch:-20") }, { mask: [0] }).lines, []);
});

test("real-time threads that poll are warned of, and refused where the kernel keeps no time back", () => {
  for (const policy of ["spin", "yield"] as const) {
    const options = { sched: parseSched("io=fifo"), wait: { io: policy } };
    assert.match(planned(options).lines.join(), new RegExp(`fifo and rr threads that ${policy}.*950000`));
    assert.throws(() => planned(options, { realTimeUs: -1 }), /sched_rt_runtime_us is -1[\s\S]*sysctl -w/);
  }
  const calm = { sched: parseSched("io=fifo"), wait: { nf: "spin" as const } };
  assert.equal(planned(calm).lines, []);
  assert.match(planned(calm, { realTimeUs: -1 }).lines.join(), /nothing else runs/);
});

function machine(folder: string, files: Record<string, string>): SystemFiles {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), `${text}\n`);
  }
  return new SystemFiles(folder);
}

const LIMITS = (rtprio: string, nice: string) =>
  `Limit                     Soft Limit           Hard Limit           Units     \nMax nice priority         ${nice}                    0                    \nMax realtime priority     ${rtprio}                    0                    `;

test("doctor on rights and settings of scheduling", () => {
  const folder = mkdtempSync(join(tmpdir(), "wingbeat-cores-"));
  const find = (findings: readonly Finding[], name: string) => findings.find((one) => one.name === name)!;
  try {
    const poor = schedulingFindings(
      machine(join(folder, "poor"), {
        "/proc/self/status": "CapEff:\t0000000000000000",
        "/proc/self/limits": LIMITS("0", "0"),
        "/proc/sys/kernel/sched_rt_runtime_us": "-1",
        "/proc/sys/kernel/sched_rt_period_us": "1000000",
        "/sys/devices/system/cpu/online": "0-7",
        "/sys/devices/system/cpu/isolated": "",
        "/sys/devices/system/cpu/nohz_full": "(null)",
      }),
    );
    assert.is(find(poor, "real-time classes").state, "missing");
    assert.match(find(poor, "real-time classes").remedy!, /prlimit --pid \$\$ --rtprio=99:99.*setcap cap_sys_nice/);
    assert.match(find(poor, "negative nice").remedy!, /--nice=40:40/);
    assert.match(find(poor, "real-time share").remedy!, /sched_rt_runtime_us=950000/);
    assert.is(find(poor, "isolated CPUs").remedy, "boot with isolcpus=managed_irq,domain,1-7");
    assert.match(find(poor, "CPUs without a tick").remedy!, /nohz_full=1-7/);
    const some = schedulingFindings(
      machine(join(folder, "some"), {
        "/proc/self/status": "CapEff:\t0000000000000000",
        "/proc/self/limits": LIMITS("10", "25"),
        "/proc/sys/kernel/sched_rt_runtime_us": "950000",
        "/proc/sys/kernel/sched_rt_period_us": "1000000",
        "/sys/devices/system/cpu/online": "0-1",
        "/sys/devices/system/cpu/isolated": "1",
      }),
    );
    assert.match(find(some, "real-time classes").detail, /up to priority 10/);
    assert.match(find(some, "negative nice").detail, /from -5 on/);
    assert.is(find(some, "real-time share").state, "ok");
    assert.match(find(some, "isolated CPUs").detail, /^1 /);
    assert.is(find(some, "CPUs without a tick").state, "ok");
    const rich = machine(join(folder, "rich"), { "/proc/self/status": "CapEff:\t0000000000800000" });
    assert.is(find(schedulingFindings(rich), "real-time classes").state, "ok");
    for (const finding of schedulingFindings(new SystemFiles(join(folder, "nothing")))) {
      assert.not.match(finding.detail, /undefined|NaN/);
    }
    // Refused although the right is there: only a control group does that.
    assert.match(lackOfRight(rich, { class: "rr", priority: 3 }, 1).problem, /RT group scheduling/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
