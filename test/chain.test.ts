/** Whole runs: every form of execution gives one digest and one ledger. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { RunResult } from "../runtime/engine/result.js";
import { findProgram } from "../runtime/native/library-path.js";
import { DATA, folder, gateway, run, wingbeat } from "./chain-support.js";
import { skipUnless } from "./skip.js";
import { writeCapture } from "./support/chain-comparison.js";
import { ethernet, ipv4, udp } from "./support/frames.js";

const seen = (r: RunResult) => ({
  digest: r.digest,
  alerts: r.alerts_digest,
  outcomes: r.nfs.map((n) => [n.name, n.packets, n.bytes, n.outcomes]),
  ports: r.ports,
  drops: r.ledger.drops,
});

test("one digest, outcomes and drops for every form of execution", () => {
  const cwd = folder(gateway());
  const plain = run(cwd, "chain.json", "--seed", "9", "--batch", "1", "--portable");
  assert.ok(plain.ledger.balanced);
  assert.is(plain.packets.rx, 6000);
  assert.ok(
    plain.nfs.every((n) => n.packets > 100),
    "every NF has work",
  );
  assert.ok(plain.nfs[2]!.outcomes["alert"]! > 0 && plain.nfs[2]!.outcomes["drop"]! > 0, "rules hit");
  const forms = [
    [],
    ["--batch", "256"],
    ["--cores", "d1n1"],
    ["--cores", "d1n4", "--batch", "13"],
    ["--cores", "d2n2", "--wait", "yield"],
    ["--cores", "d2", "--wait", "sleep", "--portable"],
  ];
  for (const form of forms) {
    const result = run(cwd, "chain.json", "--seed", "9", ...form);
    assert.equal(seen(result), seen(plain), form.join(" "));
    assert.is(result.order.reordered, 0, form.join(" "));
  }
});

test("without order nothing is lost either, and reordering is reported", () => {
  const cwd = folder(gateway());
  const result = run(cwd, "chain.json", "--order", "none", "--cores", "d2n4", "--batch", "5");
  assert.ok(result.ledger.balanced);
  assert.is(result.packets.rx, 6000);
  assert.is(result.order.mode, "none");
});

test("what is protected and opened again is what went in, and another seed gives another digest", () => {
  const cwd = folder(gateway(1000));
  const [a, b, again] = ["1", "2", "1"].map((seed) => run(cwd, "chain.json", "--seed", seed));
  assert.is(a!.digest, again!.digest);
  // IVs differ, but everything is opened again before it leaves.
  assert.is(a!.digest, b!.digest);
  assert.is(a!.nfs[0]!.outcomes["protected"], a!.nfs[1]!.outcomes["opened"]);
});

test("a cyclic policy keeps order on any number of cores and does not go round for ever", () => {
  const files = gateway(2000);
  // Alerts go through the tunnel again, and so come back to nids: a loop with a way out by the packet's visits only.
  const chain = files["chain.json"] as { types: object };
  chain.types = { tunnel: { proto: "esp", dst: "192.0.2.2" }, v6: { dst: "::/0" } };
  files["policy.csv"] = [
    "*,ingress,nids",
    "v6,ingress,drop",
    "*,nids,router",
    "*,nids.alert,protect",
    "*,protect,open",
    "*,protect.bypass,router",
    "*,open,nids",
    "*,router,egress",
  ].join("\n");
  const cwd = folder(files);
  const one = run(cwd, "chain.json", "--seed", "3");
  assert.ok(one.ledger.balanced);
  assert.ok(
    one.ledger.drops.some((d) => d.nf === "policy" && d.reason === "loop"),
    JSON.stringify(one.ledger.drops),
  );
  const many = run(cwd, "chain.json", "--seed", "3", "--cores", "d1n3", "--batch", "100");
  assert.equal(seen(many), seen(one));
  assert.ok(run(cwd, "chain.json", "--order", "none", "--cores", "d1n3").ledger.balanced);
});

test("two captures are merged by time, whatever the batch", () => {
  const cwd = folder({
    "chain.json": {
      name: "merge",
      ports: {
        in: { driver: "pcap", file: "a.pcap" },
        in2: { driver: "pcap", file: "b.pcap.gz", dir: "rx" },
        out: { driver: "pcap", file: "o.pcapng" },
      },
      policy: "p.csv",
    },
    "p.csv": "*,ingress,egress",
  });
  for (const [file, seed] of [
    ["a.pcap", "1"],
    ["b.pcap.gz", "2"],
  ] as const) {
    assert.is(wingbeat(["gen", file, "--count", "900", "--seed", seed], cwd).code, 0);
  }
  const digests = ["1", "64", "100"].map((batch) => run(cwd, "chain.json", "--digest", "--batch", batch).digest);
  assert.is(new Set(digests).size, 1);
});

test("captures of different times are played round by round: none waits until the others have been played for the last time", () => {
  const cwd = folder({
    "chain.json": {
      name: "rounds",
      ports: {
        in: { driver: "pcap", file: "a.pcap" },
        in2: { driver: "pcap", file: "b.pcap", dir: "rx" },
        out: { driver: "pcap", file: "o.pcap" },
      },
      policy: "p.csv",
    },
    "p.csv": "*,ingress,egress",
  });
  // More than are read ahead, and one not a multiple of the other.
  const frames = { a: 150, b: 70 };
  const at = { a: 100, b: 200 };
  for (const name of ["a", "b"] as const) {
    const bytes = ethernet(
      {},
      ipv4({ src: "10.0.0.1", dst: "10.0.0.2" }, udp({ sport: 1, dport: 2 }, new Uint8Array(8))),
    );
    const packets = Array.from({ length: frames[name] }, (_, nsec) => ({
      ...{ bytes, wireLen: bytes.length, sec: at[name], nsec: 1000 * nsec },
    }));
    writeCapture(join(cwd, `${name}.pcap`), packets);
  }
  run(cwd, "chain.json", "--loop", "3");
  const capture = readFileSync(join(cwd, "o.pcap"));
  const seconds: number[] = [];
  for (let from = 24; from < capture.length; from += 16 + capture.readUInt32LE(from + 8)) {
    seconds.push(capture.readUInt32LE(from));
  }
  const round = [...new Array(frames.a).fill(at.a), ...new Array(frames.b).fill(at.b)];
  assert.equal(seconds, [...round, ...round, ...round]);
});

test("the result has the keys CONTRACT fixes", () => {
  const result = run(folder(gateway(500)), "chain.json", "--digest") as unknown as Record<string, unknown>;
  for (const key of [
    "chain",
    "seconds",
    "packets",
    "bytes",
    "throughput",
    "latency_ns",
    "ledger",
    "nfs",
    "device",
    "sync",
    "digest",
    "alerts_digest",
  ]) {
    assert.ok(key in result, key);
  }
  const { ledger, latency_ns } = result as unknown as RunResult;
  const fixed = ["rx", "originated", "tx", "to_kernel", "dropped", "in_flight", "balanced", "drops"];
  assert.equal(Object.keys(ledger).sort(), fixed.sort());
  assert.ok(latency_ns.p50 > 0 && latency_ns.p50 <= latency_ns.p99 && latency_ns.p99 <= latency_ns.max);
  assert.match(String(result["digest"]), /^sha256:[0-9a-f]{64}$/);
  const plain = run(folder(gateway(500)), "chain.json");
  assert.is(plain.digest, null);
  assert.is(plain.alerts_digest, null);
});

test("ledger holds over real captures, good and malformed", () => {
  const pcaps = join(DATA, "pcap");
  if (skipUnless(existsSync(pcaps), `no captures at ${pcaps}; they come beside the project`)) return;
  const files = gateway();
  const cwd = folder(files);
  const expected: Record<string, string> = {
    "malformed-ipv4_invalid_hdr_length.pcap": "bad-length",
    "malformed-ipv4_invalid_total_length.pcap": "bad-length",
  };
  for (const name of [
    "http-packets2.pcap",
    "many-protocols.pcap",
    "IPv4Frag.pcap",
    "QinQ.pcap",
    "malformed-ip6_frag_asan.pcap",
    "malformed-udp-length-heapoverflow.pcap",
    "pcapng_be_test001.pcapng",
    ...Object.keys(expected),
  ]) {
    const done = wingbeat(
      ["run", "chain.json", "--in", join(pcaps, name), "--json", "-", "--quiet", "--verify-l4"],
      cwd,
    );
    assert.is(done.code, 0, `${name}: ${done.stderr}`);
    const result = JSON.parse(done.stdout) as RunResult;
    assert.ok(result.ledger.balanced && result.packets.rx > 0, name);
    const reason = expected[name];
    if (reason !== undefined)
      assert.ok(
        result.ledger.drops.some((d) => d.reason === reason),
        `${name}: ${done.stdout}`,
      );
  }
});

test("tshark finds every ICV good and the inner packets as they were", () => {
  const tshark = findProgram("tshark");
  if (skipUnless(tshark !== undefined, "tshark is not installed: apt-get install tshark")) return;
  const files = gateway(400);
  files["esp.json"] = {
    name: "esp",
    ports: {
      in: {
        driver: "generator",
        count: 400,
        flows: 40,
        dst: "10.2.0.0/16",
        dport: "40000-50000",
        sport: "50001-60000",
      },
      out: { driver: "pcap", file: "esp.pcap" },
    },
    nfs: { protect: { type: "ipsec", config: { sas: "out.json" } } },
    policy: "esp.csv",
  };
  files["esp.csv"] = "*,ingress,protect\n*,protect,egress";
  const cwd = folder(files);
  run(cwd, "esp.json");
  const uat = `uat:esp_sa:"IPv4","192.0.2.1","192.0.2.2","0x0000012c","AES-CBC [RFC3602]","0x00112233445566778899aabbccddeeff","HMAC-SHA-1-96 [RFC2404]","0x${"0".repeat(40)}"`;
  const { stdout } = spawnSync(
    tshark!,
    [
      "-r",
      "esp.pcap",
      "-o",
      "esp.enable_encryption_decode:TRUE",
      "-o",
      "esp.enable_authentication_check:TRUE",
      "-o",
      uat,
      "-T",
      "fields",
      "-e",
      "esp.icv_good",
      "-e",
      "ip.dst",
      "-e",
      "esp.sequence",
    ],
    { cwd, encoding: "utf8" },
  );
  const lines = stdout
    .trim()
    .split("\n")
    .map((l) => l.split("\t"));
  assert.is(lines.length, 400);
  assert.ok(
    lines.every(([good]) => good === "1" || good === "True"),
    "every ICV is good",
  );
  assert.ok(
    lines.every(([, dst]) => /,10\.2\./.test(dst!)),
    "inner destination",
  );
  assert.equal(
    lines.map((l) => Number(l[2])),
    Array.from({ length: 400 }, (_, i) => i + 1),
  );
});

test("the example of the README runs and its JSON Schema is current", async () => {
  const { chainJsonSchema } = await import("../runtime/chain/json-schema.js");
  const shipped = JSON.parse(
    readFileSync(new URL("../../examples/chain.schema.json", import.meta.url), "utf8"),
  ) as unknown;
  assert.equal(shipped, JSON.parse(JSON.stringify(await chainJsonSchema())), "run `npm run schema`");
});

test.run();
