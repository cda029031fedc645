/** Runs that fail, in every phase and on every thread: they end, say why, and leave what other outputs had written. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadChain } from "../runtime/chain/load.js";
import { parseCores } from "../runtime/engine/core-spec.js";
import { type Run, startRun } from "../runtime/engine/run.js";
import { folder } from "./chain-support.js";
import { ethernet, ipv4, udp } from "./support/frames.js";

const CORES = ["d1", "d2n2"];
const FRAMES = 3000;

/** Half of the packets alert and leave by `a`, half of them by `b`; two nids, so that each has a core of its own in a pipeline. */
function files(more: { a?: string; b?: string; alerts?: string; late?: string; in?: string } = {}) {
  const nids = (alerts: string) => ({ type: "nids", config: { rules: "local.rules", alerts } });
  return {
    "chain.json": {
      name: "failures",
      ports: {
        in: { driver: "pcap", file: more.in ?? "in.pcap" },
        a: { driver: "pcap", file: more.a ?? "a.pcap", dir: "tx" },
        b: { driver: "pcap", file: more.b ?? "b.pcap", dir: "tx" },
      },
      nfs: { first: nids(more.alerts ?? "first.jsonl"), second: nids(more.late ?? "second.jsonl") },
      policy: "policy.csv",
    },
    "policy.csv": "*,ingress,first\n*,first,second\n*,second,egress:b\n*,second.alert,egress:a",
    "local.rules": 'alert udp any any -> any 1 (msg:"one"; content:"needle"; sid:1;)',
  };
}

function capture(frames = FRAMES): Buffer {
  const words = (...values: number[]) => Buffer.from(Uint32Array.from(values).buffer);
  const records = Array.from({ length: frames }, (_, i) => {
    const frame = ethernet({}, ipv4({ id: i }, udp({ dport: i % 2 }, Buffer.from("a needle in a stack of hay"))));
    return Buffer.concat([words(i, 0, frame.length, frame.length), frame]);
  });
  return Buffer.concat([words(0xa1b23c4d, 0x0004_0002, 0, 0, 262144, 1), ...records]);
}

const packetsIn = (file: string) => {
  const bytes = readFileSync(file);
  let packets = 0;
  let at = 24;
  while (at < bytes.length) {
    at += 16 + bytes.readUInt32LE(at + 8);
    packets++;
  }
  assert.is(at, bytes.length, `${file} ends with a whole record`);
  return packets;
};

interface More {
  readonly loop?: number;
  readonly duration?: number;
  /** Called when the chain is loaded and no thread has been started. */
  readonly loaded?: () => void;
}

async function start(cwd: string, cores: string, more: More = {}): Promise<Run> {
  const chain = await loadChain(join(cwd, "chain.json"), { warn: () => {} });
  more.loaded?.();
  return startRun(chain, {
    ...{ cores: parseCores(cores), batch: 64, portable: true, order: "flow", wait: {}, verifyL4: false },
    ...{ loop: more.loop ?? 1, duration: more.duration ?? 0, rate: undefined, seed: undefined, digest: false },
    warn: () => {},
  });
}

/** The error a run ends with; fails where it succeeds or does not end. */
async function failure(cwd: string, cores: string, more: More = {}): Promise<Error> {
  const run = await start(cwd, cores, more);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${cores}: does not end`)), 60_000);
  });
  try {
    await Promise.race([run.result, late]);
  } catch (error) {
    return error as Error;
  } finally {
    clearTimeout(timer);
  }
  throw new Error(`${cores}: the run succeeded`);
}

for (const cores of CORES) {
  test(`${cores}: an input that is not there`, async () => {
    const cwd = folder(files());
    const error = await failure(cwd, cores);
    assert.is(error.name, "ConfigError");
    assert.match(error.message, "in.pcap");
    assert.not.ok(existsSync(join(cwd, "a.pcap")), "no output is touched");
  });

  test(`${cores}: an NF that cannot start`, async () => {
    const cwd = folder(files());
    writeFileSync(join(cwd, "in.pcap"), capture());
    // A folder that is there when the chain is loaded is refused at once; this one comes in between.
    const error = await failure(cwd, cores, { loaded: () => mkdirSync(join(cwd, "second.jsonl")) });
    assert.match(error.message, /second\.jsonl: the alerts file cannot be created/);
    assert.not.ok(existsSync(join(cwd, "a.pcap")), "no output is touched");
  });

  test(`${cores}: an output that cannot be created`, async () => {
    const cwd = folder(files({ b: "no-folder/b.pcap" }));
    writeFileSync(join(cwd, "in.pcap"), capture());
    const error = await failure(cwd, cores);
    assert.is(error.name, "ConfigError");
    assert.match(error.message, "no-folder/b.pcap");
  });

  test(`${cores}: an output on a full disk is found before the first packet`, async () => {
    const cwd = folder(files({ a: "/dev/full" }));
    writeFileSync(join(cwd, "in.pcap"), capture());
    const error = await failure(cwd, cores);
    assert.match(error.message, /\/dev\/full: the disk is full/);
    for (const file of ["first.jsonl", "second.jsonl"]) assert.is(readFileSync(join(cwd, file), "utf8"), "");
  });

  test(`${cores}: alerts on a full disk; captures keep what was sent`, async () => {
    const cwd = folder(files({ late: "/dev/full" }));
    writeFileSync(join(cwd, "in.pcap"), capture());
    const error = await failure(cwd, cores);
    assert.match(error.message, /\/dev\/full: \d+ alerts could not be written/);
    packetsIn(join(cwd, "a.pcap"));
    packetsIn(join(cwd, "b.pcap"));
  });

  test(`${cores}: an input damaged in the middle; what came before it is there`, async () => {
    const cwd = folder(files({ in: "in.pcap.gz" }));
    const zipped = gzipSync(capture());
    zipped.fill(0xff, zipped.length >> 1, (zipped.length >> 1) + 200);
    writeFileSync(join(cwd, "in.pcap.gz"), zipped);
    const error = await failure(cwd, cores);
    assert.is(error.name, "ConfigError");
    assert.match(error.message, "in.pcap.gz");
    assert.ok(packetsIn(join(cwd, "a.pcap")) + packetsIn(join(cwd, "b.pcap")) < FRAMES);
  });

  test(`${cores}: of a damaged input every packet before the damage leaves`, async () => {
    const cwd = folder(files());
    writeFileSync(join(cwd, "in.pcap"), Buffer.concat([capture(), Buffer.alloc(16, 0xff), Buffer.alloc(5000)]));
    const error = await failure(cwd, cores);
    assert.is(error.name, "ConfigError");
    assert.is(packetsIn(join(cwd, "a.pcap")) + packetsIn(join(cwd, "b.pcap")), FRAMES);
  });

  test(`${cores}: what fails while closing hides neither the first error nor what others wrote`, async () => {
    const cwd = folder(files({ alerts: "/dev/full" }));
    // So few alerts that they are written only when the file is closed.
    const lying = Buffer.alloc(16, 0xff);
    writeFileSync(join(cwd, "in.pcap"), Buffer.concat([capture(100), lying]));
    const error = await failure(cwd, cores);
    assert.match(error.message, "in.pcap");
    const alerts = readFileSync(join(cwd, "second.jsonl"), "utf8").split("\n").length - 1;
    assert.is(alerts, 50);
    assert.is(packetsIn(join(cwd, "a.pcap")), 50);
  });

  test(`${cores}: stopped at once, soon and late, it drains`, async () => {
    const cwd = folder(files());
    writeFileSync(join(cwd, "in.pcap"), capture());
    for (const ms of [0, 150, 400]) {
      const run = await start(cwd, cores, { loop: 0 });
      setTimeout(() => run.stop(), ms);
      const { ledger } = await run.result;
      assert.ok(ledger.balanced);
      assert.is(packetsIn(join(cwd, "a.pcap")) + packetsIn(join(cwd, "b.pcap")), ledger.tx);
    }
    // Endless but for its duration; from the first packet to the last it may be less, where a thread waits for its processor.
    const from = performance.now();
    const { ledger } = await (await start(cwd, cores, { loop: 0, duration: 0.2 })).result;
    assert.ok(ledger.balanced && ledger.rx > 0);
    assert.ok(performance.now() - from > 190, "it ends before its duration");
  });
}

test.run();
