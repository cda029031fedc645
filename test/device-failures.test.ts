/** A device that cannot be opened, or comes to a bad end: what is said, and that nothing is left running. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { DeviceOptions } from "../runtime/device/open.js";
import { ConfigError, RunError } from "../runtime/errors.js";
import { openTestDevice, withTestDevice } from "./support/device-load.js";
import { freshSeed, Random } from "./support/random.js";

const CHILD = fileURLToPath(new URL("./support/device-child.js", import.meta.url));
const random = new Random(freshSeed());
console.log(`seed ${random.seed}`);

async function refusal(options: Partial<DeviceOptions>): Promise<Error> {
  try {
    const device = await openTestDevice(options);
    await device.close();
  } catch (error) {
    return error as Error;
  }
  throw new Error("the device was opened");
}

// First: PoCL takes its number of threads from the first device that is opened in a process.
test("more workgroups than run at once: start() says how many there are, and only those that registered get work", async () => {
  process.env["POCL_MAX_PTHREAD_COUNT"] = "2";
  await withTestDevice(random, { workgroups: 5 }, (load, started) => {
    assert.is(started, 2);
    load.run(5000);
    assert.is(load.checked, 5000);
  });
});

test("slices, and fewer workgroups than queues: each queue has its turn", async () => {
  await withTestDevice(random, { workgroups: 5, sliceMs: 2 }, (load) => {
    load.run(20_000);
    assert.is(load.checked, 20_000);
  });
});

const nf = (program: string) => ({ program, writes: "params" as const, tables: new Uint32Array(4) });

test("a kernel that does not compile: the log says where", async () => {
  const error = await refusal({ workgroups: 1, nfs: [nf("mark"), nf("broken")] });
  assert.instance(error, RunError);
  assert.match(error.message, /no_such_variable/);
  assert.match(error.message, /broken\.cl:\d+/);
  assert.match(error.message, /remedy: /);
});

test("a kernel that is not there: named, with the folders that were looked through", async () => {
  const error = await refusal({ workgroups: 1, nfs: [nf("nosuch")] });
  assert.instance(error, RunError);
  assert.match(error.message, /no kernel nosuch\.cl in .*test\/kernels/);
});

test("a device that is not there, and numbers out of range", async () => {
  const missing = await refusal({ name: "no such device" });
  assert.instance(missing, RunError);
  assert.match(missing.message, /opencl:no such device/);
  for (const [options, message] of [
    [{ workgroups: 0 }, /workgroups: found 0, expected a whole number of 1 to/],
    [{ workgroupSize: 48 }, /workgroupSize: found 48, expected a power of two/],
    [{ depth: 2.5 }, /depth: found 2.5/],
    [{ slots: 0 }, /arena: found 0 slots/],
  ] as const) {
    const error = await refusal(options);
    assert.instance(error, ConfigError);
    assert.match(error.message, message);
  }
});

/** The processes of a process group that still run: zombies do not. */
function groupOf(leader: number): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
        const [state, , group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
        return Number(group) === leader && state !== "Z";
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

/** Runs the child in a process group of its own; `kill`: sends that once the device is at work. */
async function runChild(mode: string, end: string, kill?: NodeJS.Signals): Promise<End> {
  const child = spawn(process.execPath, [CHILD, mode, end], { detached: true, stdio: ["ignore", "pipe", "pipe"] });
  const guard = setTimeout(() => process.kill(-child.pid!, "SIGKILL"), 60_000);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      if (kill !== undefined && /at work/.test(output)) child.kill(kill);
    });
  }
  const [code, signal] = (await once(child, "exit")) as [number | null, string | null];
  clearTimeout(guard);
  const left = groupOf(child.pid!);
  return { code, signal, output, left };
}

for (const mode of ["persistent", "rounds"]) {
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
    assert.match(end.output, /closed\n[1-9]\d* away/);
    assert.equal(end.left, []);
  });
}

test.run();
