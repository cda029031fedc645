/**
 * Many frames through ipsec -> nids -> router with ipsec on OpenCL, live: egress and alerts are those of a run on the CPU from the capture, byte for
 * byte. `WINGBEAT_LIVE_FRAMES=1000000` makes it a million, which takes half a minute; the digests are then over all of them, and what dumpcap
 * sees is compared by count alone.
 */
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { folder, gateway, run, sa } from "./chain-support.js";
import { capture, checkLedger, frames, PORTS, wiresTest } from "./support/live.js";
import { replayInWindow } from "./support/window.js";

const FRAMES = Number(process.env["WINGBEAT_LIVE_FRAMES"] ?? 40_000);
/** Frames of which a capture is kept and compared. */
const COMPARED = 200_000;
/** IMIX frames grow in a tunnel. */
const MTU = "1700";
/** Fits in the fill ring, which gets a quarter of the 16,384 slots. */
const WINDOW = 4096;
const OUTWARD = { spi: 301, src: "192.0.2.2", dst: "192.0.2.1", selector: { dst: "10.2.0.0/16" } };

/** Nothing is dropped on the way, so that what comes out says how much has been taken. */
function files(): Record<string, string | object> {
  const { "local.rules": rules } = gateway();
  const stream = (weight: number, dst: string, size: number | "imix", more: object = {}) => ({
    ...{ weight, dst, size, src: "10.1.0.0/16", payload: "text" },
    ...more,
  });
  const web = { proto: "tcp", dport: 80 };
  return {
    // What the far gateway sends: some of it in a tunnel to us.
    "far.json": {
      name: "far",
      ports: {
        in: {
          ...{ driver: "generator", count: FRAMES, flows: 3000, hits: 0.02, rules: "local.rules" },
          streams: [
            stream(3, "10.2.0.0/16", "imix"),
            stream(3, "10.3.0.0/16", "imix", web),
            stream(3, "198.18.0.0/15", 64, web),
            stream(2, "198.18.0.0/15", 214, { proto: "udp", dport: 5060 }),
          ],
        },
        out: { driver: "pcap", file: "in.pcap" },
      },
      nfs: { ipsec: { type: "ipsec", config: { sas: "far-sas.json" } } },
      policy: "far.csv",
    },
    "far.csv": "*,ingress,ipsec\n*,ipsec,egress\n*,ipsec.bypass,egress\n",
    "far-sas.json": { sas: [sa("out", { selector: { dst: "10.3.0.0/16" } })] },
    "chain.json": {
      name: "million",
      ports: { in: { driver: "null" }, out: { driver: "null", mtu: Number(MTU) } },
      nfs: {
        ipsec: { type: "ipsec", config: { sas: "sas.json" } },
        nids: { type: "nids", config: { rules: "local.rules", alerts: "alerts.jsonl" } },
        router: { type: "router", config: { routes: "routes.txt" } },
      },
      policy: "policy.csv",
    },
    "policy.csv": "*,ingress,ipsec\n*,ipsec,nids\n*,ipsec.bypass,nids\n*,nids,router\n*,router,egress\n",
    "sas.json": { sas: [sa("in"), sa("out", OUTWARD)] },
    "routes.txt": "0.0.0.0/0 192.0.2.254 out\n10.0.0.0/8 10.0.0.1 out\n",
    "local.rules": String(rules).replace("drop udp", "alert udp"),
  };
}

wiresTest(`${FRAMES} frames through ipsec on OpenCL, nids and router: the digests of a capture`, async (space) => {
  const cwd = folder(files());
  for (const name of ["a", "b"]) {
    space.wire(name);
    for (const end of [name, `${name}p`]) space.ip("link", "set", "dev", end, "mtu", MTU);
  }
  run(cwd, "far.json", "--seed", "3");
  const input = join(cwd, "in.pcap");
  const kept = FRAMES <= COMPARED;
  const same = ["--seed", "5", "--in"];
  const expected = run(cwd, "chain.json", ...same, input, "--out", kept ? "expected.pcap" : "null", "--device", "none");
  assert.equal([expected.packets.rx, expected.packets.tx], [FRAMES, FRAMES], JSON.stringify(expected.ledger.drops));

  const dump = kept ? await capture(space, cwd, "bp", FRAMES) : undefined;
  const gpu = ["--device", "opencl", "--place", "ipsec=gpu"];
  const wing = await space.wingbeat(cwd, "chain.json", ...same, "xdp:a,ring=4096", "--out", "xdp:b", ...gpu);
  await wing.says(PORTS);
  const startMs = performance.now();
  assert.is(await replayInWindow(space, input, { from: "ap", to: "bp", window: WINDOW }), FRAMES);
  const seconds = (performance.now() - startMs) / 1000;
  const result = await wing.finish();

  checkLedger(result);
  const [port, out] = result.ports;
  assert.equal(
    [port!.ipackets, port!.imissed, port!.ierrors],
    [FRAMES, 0, 0],
    "no frame may be missed in such a window",
  );
  assert.equal([out!.opackets, out!.oerrors, space.packets("bp").packets], [FRAMES, 0, FRAMES]);
  assert.is(result.digest, expected.digest);
  assert.is(result.alerts_digest, expected.alerts_digest);
  assert.equal(
    result.nfs.map((nf) => nf.outcomes),
    expected.nfs.map((nf) => nf.outcomes),
  );
  const { outcomes } = result.nfs.find((nf) => nf.name === "ipsec")!;
  for (const name of ["protected", "opened", "bypass"]) assert.ok(outcomes[name]! > FRAMES / 10, name);
  assert.ok(result.nfs.find((nf) => nf.name === "nids")!.outcomes["alert"]! > FRAMES / 1000);
  assert.ok(result.device!.zero_copy);
  assert.is(result.sync.bytes_copied, 0);
  if (dump !== undefined) {
    await dump.end();
    const [seen, written] = [frames(join(cwd, "out.pcap")), frames(join(cwd, "expected.pcap"))];
    assert.is(seen.length, FRAMES);
    assert.is(
      seen.findIndex((hash, i) => hash !== written[i]),
      -1,
      "the first frame that dumpcap saw otherwise",
    );
  }
  console.log(
    `show: ${FRAMES} frames, none missed, ${Math.round(FRAMES / seconds)} per second on the machine it ran on`,
  );
});

test.run();
