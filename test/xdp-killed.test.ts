/** Live runs with an OpenCL device that are killed, interrupted or stopped while packets come: nothing is left behind, and what was missed is counted. */
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { folder, gateway } from "./chain-support.js";
import { checkLedger, PORTS, traffic, wiresTest } from "./support/live.js";
import { type Running, until, type Veth } from "./support/veth.js";

const ON_GPU = ["--device", "opencl", "--place", "protect=gpu"];
const RESERVED = "/proc/sys/vm/nr_hugepages";
/** Pages of 2 MiB for the arena of a run without a device, and for what else it maps. */
const RUN_PAGES = 48;
/** Other tests' runs take some, too. */
const HUGE_PAGES = 3 * RUN_PAGES;

/** The file again and again, until it is killed. */
const endless = (space: Veth, cwd: string, file: string): Running =>
  space.start(cwd, "tcpreplay", "-q", "-i", "ap", "--pps", "8000", "--loop", "1000000", file);

async function passing(space: Veth): Promise<void> {
  const before = space.received("bp");
  await until(() => space.received("bp") >= before + 1000, "packets at the far end");
}

function clean(space: Veth, what: string): void {
  for (const name of ["a", "b"]) assert.not(space.attached(name), `${what}: a program on ${name}`);
  assert.is(space.promiscuity("a"), 0, `${what}: promiscuous mode`);
}

wiresTest("kill -9 and SIGTERM in the middle of traffic, with a run on a device", async (space) => {
  const cwd = folder(gateway());
  space.wire("a");
  space.wire("b");
  const sender = endless(space, cwd, traffic(cwd));
  for (const signal of ["SIGKILL", "SIGTERM"] as const) {
    // Each starts where the one before it has ended just now.
    const wing = await space.wingbeat(cwd, "chain.json", ...ON_GPU, "--in", "xdp:a", "--out", "xdp:b");
    await wing.says(PORTS);
    await passing(space);
    assert.ok(space.attached("a"));
    assert.is(space.promiscuity("a"), 1);
    if (signal !== "SIGKILL") {
      const result = await wing.finish(signal);
      checkLedger(result, `${signal}: `);
      assert.ok(result.sync.packets > 0);
      clean(space, signal);
      continue;
    }
    assert.is(await wing.end(signal), null);
    // Descriptors of a killed process are closed once its last thread is gone.
    await until(() => !space.attached("a") && space.promiscuity("a") === 0, "an interface left alone");
    clean(space, signal);
  }
  await sender.end("SIGKILL");
});

wiresTest("a run that is stopped for a second goes on, and has missed what it could not take", async (space) => {
  const cwd = folder(gateway());
  space.wire("a");
  space.wire("b");
  const input = traffic(cwd);
  const wing = await space.wingbeat(cwd, "chain.json", ...ON_GPU, "--in", "xdp:a,ring=512", "--out", "xdp:b");
  await wing.says(PORTS);
  const sender = endless(space, cwd, input);
  await passing(space);
  wing.child.kill("SIGSTOP");
  const before = space.received("a");
  await delay(1000);
  // The ring of 512, what is on its way, and more.
  await until(() => space.received("a") >= before + 2000, "packets for a run that is stopped");
  wing.child.kill("SIGCONT");
  await passing(space);
  await sender.end("SIGKILL");
  const result = await wing.finish();
  checkLedger(result);
  const [port] = result.ports;
  assert.is(port!.ipackets + port!.imissed, space.sent("ap"), JSON.stringify(port));
  assert.ok(port!.imissed > 0, "so many are more than the ring holds");
  assert.is(result.device!.kind, "opencl");
  assert.not(result.ledger.drops.some(({ reason }) => reason === "device-stalled"));
});

wiresTest("huge pages as packet memory, and none is held after kill -9", async (space, cwd) => {
  const before = Number(readFileSync(RESERVED, "utf8"));
  const pages = (name: string) =>
    Number(new RegExp(`HugePages_${name}: +(\\d+)`).exec(readFileSync("/proc/meminfo", "utf8"))![1]);
  try {
    writeFileSync(RESERVED, `${before + HUGE_PAGES}`);
    space.wire("a");
    space.wire("b");
    const sender = endless(space, cwd, traffic(cwd));
    const enough = pages("Free") >= 2 * RUN_PAGES;
    const wing = await space.wingbeat(cwd, "chain.json", "--in", "xdp:a", "--out", "xdp:b");
    await wing.says(PORTS);
    await passing(space);
    const arena = readFileSync(`/proc/${wing.child.pid}/smaps`, "utf8").match(/^Private_Hugetlb: +[1-9]\d* kB$/gm);
    const free = pages("Free");
    if (enough) assert.ok(arena !== null, "the arena lies in huge pages");
    await wing.end("SIGKILL");
    await sender.end("SIGKILL");
    await until(() => !space.attached("a"), "an interface left alone");
    await until(
      () => pages("Free") > free || pages("Total") === 0,
      "its pages among the free ones",
      () => `${pages("Free")}`,
    );
  } finally {
    writeFileSync(RESERVED, `${before}`);
  }
});

test.run();
