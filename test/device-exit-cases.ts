/** Processes with a device at work that come to an end: in order, by a signal, or with a kernel that hangs. Nothing is left running. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";

const CHILD = fileURLToPath(new URL("./support/device-child.js", import.meta.url));

/** The processes of a process group that still run: zombies and what is on its way to be one do not. */
function groupOf(leader: number): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
        const [state, , group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
        return Number(group) === leader && state !== "Z" && state !== "X";
      } catch {
        return false;
      }
    });
}

interface End {
  readonly code: number | null;
  readonly signal: string | null;
  readonly output: string;
  readonly left: readonly string[];
}

/** Runs the child in a process group of its own; `kill`: sends that once the device is at work, or begun to be opened. */
async function runChild(mode: string, end: string, kill?: NodeJS.Signals, ...more: string[]): Promise<End> {
  const child = spawn(process.execPath, [CHILD, mode, end, ...more], {
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const guard = setTimeout(() => process.kill(-child.pid!, "SIGKILL"), 120_000);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      if (kill !== undefined && /at work|opening/.test(output)) child.kill(kill);
    });
  }
  const [code, signal] = (await once(child, "exit")) as [number | null, string | null];
  clearTimeout(guard);
  // What it had started ends with it, each in its own time on a busy machine.
  let left = groupOf(child.pid!);
  for (const end = Date.now() + 10_000; left.length > 0 && Date.now() < end; left = groupOf(child.pid!))
    await delay(20);
  return { code, signal, output, left };
}

export function exitCases(mode: "persistent" | "rounds" | "webgpu"): void {
  test(`${mode}: kill -9 in mid-run leaves nothing running`, async () => {
    const end = await runChild(mode, "work", "SIGKILL");
    assert.is(end.signal, "SIGKILL", end.output);
    assert.equal(end.left, []);
  });

  test(`${mode}: SIGTERM while it waits for the device, exit and throw in mid-run end the process`, async () => {
    const terminated = await runChild(mode, "work", "SIGTERM");
    assert.is(terminated.signal, "SIGTERM", terminated.output);
    const exit = await runChild(mode, "exit");
    assert.is(exit.code, 3, exit.output);
    const thrown = await runChild(mode, "throw");
    assert.is(thrown.code, 1, thrown.output);
    assert.match(thrown.output, /thrown in mid-run/);
    assert.equal([...terminated.left, ...exit.left, ...thrown.left], []);
  });

  test(`${mode}: a device that nobody closes does not keep the process alive`, async () => {
    const end = await runChild(mode, "return");
    assert.is(end.code, 0, end.output);
    assert.equal(end.left, []);
  });

  test(`${mode}: a kernel that hangs: stop says so, nothing is freed, the process can end`, async () => {
    const end = await runChild(mode, "hang");
    assert.is(end.code, 1, end.output);
    assert.match(end.output, /RunError: device .*: it has not come to an end within 2 s/);
    assert.match(end.output, /workgroup \d: CpuIndex \d+, GpuIndex \d+/);
    assert.match(end.output, /remedy: /);
    assert.match(end.output, /closed\n[1-9]\d* away\n$/);
    assert.equal(end.left, []);
    const thrown = await runChild(mode, "hang-throw");
    assert.is(thrown.code, 1, thrown.output);
    assert.match(thrown.output, /thrown while a kernel hangs/);
    assert.equal(thrown.left, []);
  });
}

/** ms after the beginning: Dawn is being loaded, asked for adapters, makes the device, compiles shaders; which is when depends on the machine. */
const WHILE_OPENING = [1, 40, 80, 120, 160, 250, 400];

export function openingCases(mode: "webgpu" | "gpujs"): void {
  test(`${mode}: exit while the device is being opened ends the process in order`, async () => {
    for (const ms of WHILE_OPENING) {
      const { code, output, left } = await runChild(mode, "opening", undefined, String(ms));
      assert.is(code, 3, `after ${ms} ms: ${output}`);
      assert.equal(left, []);
    }
  });

  test(`${mode}: SIGTERM while the device is being opened ends the process`, async () => {
    const { signal, output, left } = await runChild(mode, "opening", "SIGTERM", "60000");
    assert.is(signal, "SIGTERM", output);
    assert.equal(left, []);
  });
}
