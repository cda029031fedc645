/** Real traffic, by tcpreplay in and by dumpcap out: what a chain makes of a capture that comes over a wire is what it makes of the file. */
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { DATA, folder, gateway, run } from "./chain-support.js";
import { skipUnless } from "./skip.js";
import { capture, checkLedger, FORWARD, frames, makeTraffic, OPEN, traffic, wiresTest } from "./support/live.js";
import { until } from "./support/veth.js";

for (const [name, driver] of [
  ["many-protocols.pcap", "xdp"],
  ["many-protocols.pcap", "packet"],
  ["http-packets2.pcap", "mmsg"],
] as const) {
  wiresTest(`${name} over a wire, by ${driver}`, async (space) => {
    const file = join(DATA, "pcap", name);
    if (skipUnless(existsSync(file), `${file} is missing; set WINGBEAT_DATA`)) return;
    space.wire("a");
    space.wire("b");
    const forward = folder(FORWARD);
    const expected = run(forward, "chain.json", "--in", file, "--out", "expected.pcap");
    const dump = await capture(space, forward, "bp", expected.packets.tx);
    const ring = driver === "xdp" ? ",ring=4096" : "";
    const wing = await space.wingbeat(forward, "chain.json", "--in", `${driver}:a${ring}`, "--out", `${driver}:b`);
    await wing.says(OPEN);
    space.run("tcpreplay", "-q", "-i", "ap", "--pps", "8000", file);
    await space.until("a", expected.packets.rx);
    const result = await wing.finish();
    checkLedger(result);
    assert.is(result.packets.rx, expected.packets.rx);
    assert.equal(result.ledger.drops, expected.ledger.drops);
    await dump.end();
    assert.equal(frames(join(forward, "out.pcap")), frames(join(forward, "expected.pcap")));

    if (driver !== "xdp") return;
    // The same by a chain with NFs, whose alerts and drops are those of the file.
    const cwd = folder(gateway());
    const seeded = ["--seed", "9", "--out", "null", "--in"];
    const same = run(cwd, "chain.json", ...seeded, file);
    const before = space.received("a");
    const chain = await space.wingbeat(cwd, "chain.json", ...seeded, `${driver}:a${ring}`);
    await chain.says(/port in: .* by AF/);
    space.run("tcpreplay", "-q", "-i", "ap", "--pps", "8000", file);
    await space.until("a", before + same.packets.rx);
    const live = await chain.finish();
    checkLedger(live);
    assert.equal(
      [live.digest, live.alerts_digest, live.ledger.drops],
      [same.digest, same.alerts_digest, same.ledger.drops],
    );
  });
}

wiresTest("a compressed capture is received beside an interface that is never quiet", async (space) => {
  const cwd = folder({
    "chain.json": {
      name: "beside",
      ports: {
        file: { driver: "pcap", file: "long.pcap.gz", dir: "rx" },
        in: { driver: "packet", interface: "a", dir: "rx" },
        out: { driver: "pcap", file: "out.pcap" },
        rest: { driver: "null", dir: "tx" },
      },
      policy: "policy.csv",
    },
    "policy.csv": "*,ingress:file,egress:out\n*,ingress:in,egress:rest\nnon-ip,ingress,drop\n",
  });
  const file = makeTraffic(folder(), [1400], 3000);
  const long = readFileSync(file);
  writeFileSync(join(cwd, "long.pcap.gz"), gzipSync(long));
  space.wire("a");
  const sender = space.start(cwd, "tcpreplay", "-q", "-i", "ap", "--loop", "0", "--pps", "20000", traffic(cwd));
  await until(() => space.received("a") > 0, "traffic");
  const wing = await space.wingbeat(cwd, "chain.json");
  const out = join(cwd, "out.pcap");
  const written = () => (existsSync(out) ? statSync(out).size : 0);
  await until(
    () => written() >= long.length,
    `${long.length} bytes of the capture`,
    () => `${written()} bytes`,
  );
  checkLedger(await wing.finish());
  sender.child.kill();
  assert.equal(frames(out), frames(file));
});

test.run();
