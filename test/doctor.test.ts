import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { doctor, formatDoctor } from "../runtime/cli/doctor.js";
import { energyFindings } from "../runtime/measure/energy/findings.js";
import { cpuFindings, memoryFindings } from "../runtime/native/cpu.js";
import type { Finding } from "../runtime/native/finding.js";
import { networkFindings } from "../runtime/native/rights.js";
import { SystemFiles } from "../runtime/native/system-files.js";
import { watchdogFindings } from "../runtime/native/watchdogs.js";

const AREAS = ["cpu", "memory", "libraries", "devices", "network", "energy", "watchdogs", "tests"];
let folder = "";

test.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), "wingbeat-doctor-"));
});
test.after.each(() => rmSync(folder, { recursive: true, force: true }));

/** A machine with these files. */
function machine(files: Record<string, string>): SystemFiles {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return new SystemFiles(folder);
}

function find(findings: readonly Finding[], name: string): Finding {
  const found = findings.find((finding) => finding.name === name);
  assert.ok(found !== undefined, `no finding is called ${name}; there are: ${findings.map((one) => one.name)}`);
  return found!;
}

test("every finding on this machine has the shape", async () => {
  const { findings, install } = await doctor();
  assert.is(install, null);
  for (const area of AREAS)
    assert.ok(
      findings.some((finding) => finding.area === area),
      `nothing about ${area}`,
    );
  for (const finding of findings) {
    assert.ok(AREAS.includes(finding.area), finding.area);
    assert.ok(["ok", "missing", "limited"].includes(finding.state), finding.state);
    assert.ok(finding.name !== "" && finding.detail !== "" && finding.remedy !== "", JSON.stringify(finding));
    assert.not.match(finding.detail, /undefined|NaN|\[object/);
    if (finding.state === "ok") assert.is(finding.remedy, undefined, `${finding.name} is ok and has a remedy`);
  }
  assert.is(
    new Set(findings.map((finding) => `${finding.area} ${finding.name}`)).size,
    findings.length,
    "names repeat",
  );
});

test("the text has every finding and every remedy", async () => {
  const findings: Finding[] = [
    { area: "cpu", name: "governor", state: "limited", detail: "powersave", remedy: "set it" },
    { area: "energy", name: "battery", state: "ok", detail: "discharging" },
  ];
  const text = formatDoctor({ findings, install: null });
  assert.equal(
    text.split("\n").map((line) => line.trim().replace(/ +/g, " ")),
    ["cpu", "limited governor powersave", "remedy: set it", "", "energy", "ok battery discharging"],
  );
});

test("a machine without a single file is looked at without a crash", async () => {
  const { findings } = await doctor({ files: new SystemFiles(join(folder, "nothing")) });
  assert.is(find(findings, "memory").state, "missing");
  assert.is(find(findings, "AF_XDP rights").state, "missing");
  assert.is(find(findings, "huge pages").state, "missing");
});

test("files full of nonsense are looked at without a crash", async () => {
  const paths = ["cpuinfo", "meminfo", "self/status", "self/cgroup", "self/limits", "config.gz"].map(
    (name) => `/proc/${name}`,
  );
  paths.push(
    "/sys/fs/cgroup/cpu.max",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/class/powercap/a/energy_uj",
  );
  paths.push("/sys/class/drm/card0/engine/rcs0/heartbeat_interval_ms", "/sys/devices/system/cpu/online");
  const files = machine(Object.fromEntries(paths.map((path) => [path, "\u0000:::\n0::\nxyz: ]["])));
  for (const finding of [...cpuFindings(files), ...memoryFindings(files), ...networkFindings(files)]) {
    assert.not.match(finding.detail, /undefined|NaN/, finding.name);
  }
  energyFindings(files);
  watchdogFindings(files);
});

test("a control group's quota limits the cores, the tightest one counts", () => {
  const files = machine({
    "/proc/self/status": "Cpus_allowed_list:\t0-3,8-11\n",
    "/proc/self/cgroup": "0::/a/b\n",
    "/sys/devices/system/cpu/online": "0-11\n",
    "/sys/fs/cgroup/cpu.max": "max 100000\n",
    "/sys/fs/cgroup/a/cpu.max": "150000 100000\n",
    "/sys/fs/cgroup/a/b/cpu.max": "400000 100000\n",
  });
  const cores = find(cpuFindings(files), "cores");
  assert.is(cores.state, "limited");
  assert.match(cores.detail, /^12 online, .* 1\.50 /);
});

test("cores that this process may not use are told from those it may", () => {
  const files = machine({
    "/proc/self/status": "Cpus_allowed_list:\t2,4-5\n",
    "/sys/devices/system/cpu/online": "0-7\n",
  });
  assert.match(find(cpuFindings(files), "cores").detail, "8 online, 3 allowed");
});

test("governor, huge pages and their remedies", () => {
  const huge = "/sys/kernel/mm/hugepages/hugepages-2048kB";
  const files = machine({
    "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n",
    "/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "performance\n",
    [`${huge}/nr_hugepages`]: "100\n",
    [`${huge}/free_hugepages`]: "10\n",
    "/sys/kernel/mm/transparent_hugepage/enabled": "always madvise [never]\n",
  });
  assert.match(find(cpuFindings(files), "governor").detail, "powersave, performance");
  assert.is(find(memoryFindings(files), "huge pages").remedy, "sudo sysctl -w vm.nr_hugepages=346");
  assert.match(find(memoryFindings(files), "transparent huge pages").remedy!, "echo madvise");
});

test("rights for AF_XDP are read from the effective set", () => {
  const rights = (bits: bigint) =>
    find(
      networkFindings(machine({ "/proc/self/status": `CapEff:\t${bits.toString(16).padStart(16, "0")}\n` })),
      "AF_XDP rights",
    );
  const [admin, raw, sys, bpf] = [1n << 12n, 1n << 13n, 1n << 21n, 1n << 39n];
  assert.is(rights(raw | admin | bpf).state, "ok");
  assert.is(rights(raw | sys).state, "ok");
  assert.match(rights(raw | admin).detail, /lacks CAP_BPF$/);
  assert.match(rights(0n).detail, "CAP_NET_RAW, CAP_BPF, CAP_NET_ADMIN");
  assert.match(rights(0n).remedy!, "setcap cap_net_raw");
});

test("a small memory lock limit is a lack unless a right lifts it", () => {
  const limit = "Max locked memory         8388608              8388608              bytes\n";
  const state = (bits: string) => {
    const files = machine({ "/proc/self/limits": limit, "/proc/self/status": `CapEff:\t${bits}\n` });
    return find(networkFindings(files), "memory lock limit").state;
  };
  assert.is(state("0000000000000000"), "limited");
  assert.is(state("0000000000004000"), "ok");
});

test("interfaces with driver, queues and mtu", () => {
  const files = machine({
    "/sys/class/net/eth0/mtu": "9000\n",
    "/sys/class/net/eth0/queues/rx-0/x": "",
    "/sys/class/net/eth0/queues/rx-1/x": "",
    "/sys/class/net/eth0/device/x": "",
    "/sys/class/net/lo/mtu": "65536\n",
  });
  symlinkSync("../../../bus/pci/drivers/ixgbe", join(folder, "sys/class/net/eth0/device/driver"));
  assert.is(find(networkFindings(files), "interfaces").detail, "eth0 (ixgbe, 2 rx queues, mtu 9000)");
});

test("energy meters are named by what they measure", () => {
  const files = machine({
    "/sys/class/powercap/intel-rapl:0/energy_uj": "1\n",
    "/sys/class/powercap/intel-rapl:0/name": "package-0\n",
    "/sys/class/hwmon/hwmon3/power1_average": "5000000\n",
    "/sys/class/hwmon/hwmon3/power1_label": "slowPPT\n",
    "/sys/class/hwmon/hwmon3/name": "amdgpu\n",
    "/sys/class/power_supply/BAT0/type": "Battery\n",
    "/sys/class/power_supply/BAT0/power_now": "9000000\n",
    "/sys/class/power_supply/BAT0/status": "Charging\n",
  });
  const findings = energyFindings(files);
  assert.is(find(findings, "RAPL (powercap)").detail, "package-0");
  assert.is(find(findings, "hwmon power sensors").detail, "amdgpu slowPPT");
  assert.match(find(findings, "battery").remedy!, "unplug");
});

test("watchdogs that would end a persistent kernel", () => {
  const engine = "/sys/class/drm/card1/device/tile0/gt0/engines/ccs";
  const files = machine({
    "/sys/class/drm/card0/engine/rcs0/heartbeat_interval_ms": "2500\n",
    [`${engine}/job_timeout_ms`]: "5000\n",
    [`${engine}/job_timeout_max`]: "10000\n",
    "/sys/module/amdgpu/parameters/lockup_timeout": "\n",
  });
  const findings = watchdogFindings(files);
  assert.match(find(findings, "i915 heartbeat").remedy!, "echo 0 | sudo tee");
  assert.is(find(findings, "xe job timeout").remedy, `echo 10000 | sudo tee ${engine}/job_timeout_ms`);
  assert.match(find(findings, "amdgpu lockup_timeout").remedy!, "amdgpu.lockup_timeout=-1");
  writeFileSync(join(folder, "/sys/class/drm/card0/engine/rcs0/heartbeat_interval_ms"), "0\n");
  assert.is(find(watchdogFindings(files), "i915 heartbeat").state, "ok");
});

test.run();
