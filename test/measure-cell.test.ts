/** Cells measured without a device; what is refused, stopped and fails; and that no file of the user's is touched. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ConfigError, RunError } from "../runtime/errors.js";
import type { Placement } from "../runtime/experiment/cell.js";
import { ChainRunner } from "../runtime/experiment/runner.js";
import { generatedInputs, loadForExperiments, variantOf } from "../runtime/experiment/variant.js";
import type { EnergyRecorder, EnergySpan } from "../runtime/measure/energy/meter.js";
import { folder, gateway } from "./chain-support.js";
import { cellOf, measureCases, ON_CPU, TIMING, withRunner } from "./measure-cell-cases.js";
import { classic } from "./ports-util.js";

const load = { kind: "saturation" } as const;
const cell = cellOf("none", ON_CPU);
/** None of these is to come to its end. */
const LONG = { warmUpMs: 0, windowMs: 600_000 };

measureCases("none", ON_CPU);

async function errorOf(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    () => assert.unreachable("nothing was refused") as never,
    (error: Error) => error,
  );
}

const refusals: [string, string, Placement, RegExp][] = [
  [
    "an NF that is not there",
    "none",
    { ...ON_CPU, firewall: "cpu" },
    /no NF "firewall"; .* protect, open, nids, router/,
  ],
  ["an NF left out", "none", { protect: "cpu" }, /does not say where NF open runs/],
  ["a placement on a GPU without a device", "none", { ...ON_CPU, nids: "gpu" }, /nids on gpu: device none runs no NF/],
  ["a device that is not there", "opencl:no such device", { ...ON_CPU, nids: "gpu" }, /no such device/],
];

test("what cannot be measured is refused, and other cells still are", async () => {
  await withRunner(async (runner) => {
    for (const [what, device, placement, message] of refusals) {
      const error = await errorOf(runner.measure(cellOf(device, placement), load, TIMING, 0));
      assert.ok(error instanceof ConfigError || error instanceof RunError, what);
      assert.match(error.message, message, what);
    }
    const noRing = await errorOf(runner.measure(cell, { kind: "offered", pps: 1000, ring: 0 }, TIMING, 0));
    assert.match(noRing.message, /ring: found 0 descriptors, expected a whole number from 1 on/);
    const noRate = await errorOf(runner.start(cell, { ring: 64 }));
    assert.match(noRate.message, /ring: there is no rate in packets per second/);
    assert.ok((await runner.measure(cell, load, TIMING, 0)).packets.rx > 0);
  });
});

test("a ring overrun by input that ends: what was offered is received or missed, and the ledger knows what was received", async () => {
  await withRunner(async (runner) => {
    for (const cores of ["d1", "d1n2"]) {
      const offered = { loop: 1, rate: { unit: "pps", value: 20e6 }, ring: 32 } as const;
      const { ports, ledger } = await (await runner.start({ ...cell, cores }, offered)).result;
      const { ipackets, imissed } = ports[0]!;
      assert.ok(ipackets > 0 && imissed > 0, `${ipackets} received, ${imissed} missed`);
      assert.is(ipackets + imissed, 6000);
      assert.is(ledger.rx, ipackets);
      assert.ok(ledger.balanced);
    }
  });
});

test("stopped in mid-window, by a signal or by its own stop(): the run ends in order, and nothing is measured any more", async () => {
  for (const bySignal of [true, false]) {
    const stopping = new AbortController();
    await withRunner(
      async (runner) => {
        const measured = errorOf(runner.measure(cell, load, LONG, 0));
        const queued = errorOf(runner.measure(cell, load, LONG, 1));
        setTimeout(() => (bySignal ? stopping.abort() : runner.stop()), 700);
        assert.match((await measured).message, /stopped before it was complete/);
        assert.match((await queued).message, /stopped before it was complete/);
        assert.ok(runner.stopped);
        assert.match((await errorOf(runner.measure(cell, load, TIMING, 0))).message, /stopped/);
        assert.match((await errorOf(runner.start(cell))).message, /stopped/);
      },
      { signal: stopping.signal },
    );
  }
});

test("a runner whose signal came before it measures nothing", async () => {
  const stopping = new AbortController();
  stopping.abort();
  await withRunner(
    async (runner) => assert.match((await errorOf(runner.measure(cell, load, TIMING, 0))).message, /stopped/),
    { signal: stopping.signal },
  );
});

test("input that ends before the window does is no input for a sample", async () => {
  const file = join(folder(), "empty.pcap");
  writeFileSync(file, classic([]));
  const inputs = async () => new Map([["in", { driver: "pcap", file } as const]]);
  await withRunner(
    async (runner) => {
      const error = await errorOf(runner.measure(cell, load, TIMING, 0));
      assert.match(error.message, /the run came to its end before the window did/);
    },
    { inputs },
  );
});

test("inputs are asked for once for a size, and again where that went wrong", async () => {
  const asked: unknown[] = [];
  const inputs = async (size: unknown) => {
    asked.push(size);
    if (asked.length === 1) throw new ConfigError("input", "it is not ready");
    return new Map();
  };
  await withRunner(
    async (runner) => {
      assert.match((await errorOf(runner.measure({ ...cell, size: 64 }, load, TIMING, 0))).message, "not ready");
      for (const size of [64, 64, 128] as const) await runner.measure({ ...cell, size }, load, TIMING, 0);
      assert.equal(asked, [64, 64, 128]);
    },
    { inputs },
  );
});

const span = { joules: 12 } as EnergySpan;

/** Says what it was asked for. */
function recorder(calls: string[], fails = false): EnergyRecorder {
  return {
    info: {} as EnergyRecorder["info"],
    start: () => void calls.push("start"),
    stop() {
      calls.push("stop");
      if (fails) throw new RunError("meter", "it has stopped answering");
      return span;
    },
    async measureIdle() {},
    close() {},
  };
}

test("energy is recorded for the window, once, also where it is cut short", async () => {
  const calls: string[] = [];
  await withRunner(
    async (runner) => {
      assert.is((await runner.measure(cell, load, TIMING, 0)).energy, span);
      assert.equal(calls.splice(0), ["start", "stop"]);
      setTimeout(() => runner.stop(), 700);
      await errorOf(runner.measure(cell, load, LONG, 0));
      assert.equal(calls.length % 2, 0, "every start has a stop");
    },
    { energy: recorder(calls) },
  );
  await withRunner(
    async (runner) => {
      const error = await errorOf(runner.measure(cell, load, TIMING, 0));
      assert.match(error.message, "it has stopped answering");
    },
    { energy: recorder([], true) },
  );
});

test("alerts that were there before stay as they are, and none are written beside them", async () => {
  const files = { ...gateway(), "alerts.jsonl": "of yesterday\n" };
  await withRunner(
    async (runner, cwd) => {
      const sample = await runner.measure(cell, load, TIMING, 0);
      assert.ok(
        sample.drops.some(({ nf }) => nf === "nids"),
        "rules have hit",
      );
      assert.is(readFileSync(join(cwd, "alerts.jsonl"), "utf8"), "of yesterday\n");
      // What it would write otherwise is known all the same.
      const outputs = runner.chain.nfs.flatMap((nf) => nf.outputs);
      assert.equal(outputs, [join(cwd, "alerts.jsonl")]);
    },
    {},
    files,
  );
});

/** An NF that writes a file, by the path it is told or by one of its own. */
function writer(path: string): Record<string, string | object> {
  const module = `
    import { writeFileSync } from "node:fs";
    export const nf = {
      type: "writer",
      outcomes: [{ name: "done" }],
      outputs: () => ["log.txt"],
      load: (config, context) => ({ file: ${path} }),
      create: ({ file }) => {
        writeFileSync(file, "here");
        return { process(batch) { batch.outcomes.fill(0, 0, batch.count); } };
      },
    };`;
  return {
    "chain.json": {
      name: "own",
      ports: { in: { driver: "generator" }, out: { driver: "pcap", file: "out.pcap" } },
      nfs: { own: { type: "./writer.mjs" } },
      policy: "policy.csv",
    },
    "policy.csv": "*,ingress,own\n*,own,egress\n",
    "writer.mjs": module,
  };
}

test("an NF of the user's writes to the null device, or is refused where it would not; captures are not written", async () => {
  await withRunner(
    async (runner, cwd) => {
      const sample = await runner.measure(cellOf("none", { own: "cpu" }), load, TIMING, 0);
      assert.is(sample.packets.dropped, 0);
      assert.not(existsSync(join(cwd, "log.txt")));
      assert.not(existsSync(join(cwd, "out.pcap")));
      const error = await errorOf(runner.measure(cellOf("opencl", { own: "gpu" }), load, TIMING, 0));
      assert.match(
        error.message,
        /own is of type \.\/writer\.mjs, which runs on the CPU only\n.*that run on a GPU: none/,
      );
    },
    {},
    writer('context.resolve("log.txt")'),
  );
  const refused = ChainRunner.open(join(folder(writer('"log.txt"')), "chain.json"), { warn: () => {} });
  assert.match((await errorOf(refused)).message, /NF own writes .*log\.txt by a path of its own/);
});

test("live traffic is refused: it does not come twice", async () => {
  const file = join(folder(gateway()), "chain.json");
  const live = loadForExperiments(file, () => {}, { driver: "auto", interface: "eth7" });
  assert.match((await errorOf(live)).message, /port in: a network interface does not give the same packets twice/);
});

test("generators make frames of any size, in every stream; captures have theirs", async () => {
  const cwd = folder(gateway());
  const chain = await loadForExperiments(join(cwd, "chain.json"), () => {});
  for (const size of [128, "imix"] as const) {
    const config = generatedInputs(chain, size).get("in")!;
    assert.ok(config.driver === "generator" && config.size === size);
    assert.ok(config.streams?.every((stream) => stream.size === size));
  }
  assert.is(generatedInputs(chain, "as-is").get("in"), chain.ports[0]!.config);
  const capture = { driver: "pcap", file: "some.pcap" } as const;
  const fed = variantOf(chain, ON_CPU, new Map([["in", capture]]));
  assert.equal(
    fed.ports.map(({ config }) => config),
    [capture, { driver: "null" }, { driver: "null" }],
  );
  assert.is(generatedInputs(fed, "as-is").get("in"), capture);
  assert.throws(() => generatedInputs(fed, 64), /port in: pcap frames have the size they have/);
});

test.run();
