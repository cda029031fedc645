import { test } from "uvu";
import * as assert from "uvu/assert";
import { z } from "zod";
import { openRx, openTx, resolvePort, SLOT_MTU } from "../runtime/nic/drivers.js";
import { parsePort, parsePortString, portSchema } from "../runtime/nic/port-config.js";
import { context, rejects } from "./ports-util.js";

test("what --in and --out take", () => {
  assert.equal(parsePortString("a.pcap"), { driver: "pcap", file: "a.pcap" });
  assert.equal(parsePortString("../x/a:b.pcap"), { driver: "pcap", file: "../x/a:b.pcap" });
  assert.equal(parsePortString("pcap:a:b"), { driver: "pcap", file: "a:b" });
  assert.equal(parsePortString("null"), { driver: "null" });
  assert.throws(() => parsePortString(""), /--in: is empty/);
  assert.throws(() => parsePortString("pcap:"), /file/);
  const xdp = { driver: "xdp", interface: "eth1" };
  assert.equal(parsePortString("xdp:eth1"), xdp);
  assert.equal(parsePortString("xdp:eth1,queue=2,mode=skb,promiscuous=false"), {
    ...xdp,
    queue: 2,
    mode: "skb",
    promiscuous: false,
  });
  assert.equal(parsePortString("mmsg:eth1.7,messages=1"), { driver: "mmsg", interface: "eth1.7", messages: 1 });
  for (const [text, words] of [
    ["xdp:", /interface/],
    ["xdp:eth1,queue", /"queue" in the port's options is not KEY=VALUE\n {2}remedy: .*xdp:eth1,queue=0/],
    ["xdp:eth1,ring=100", /ring: .*power of two/],
    ["xdp:eth1,mode=drv", /mode: /],
    ["packet:eth1,messages=257", /messages: /],
    ["auto:a-name-longer-than-15", /interface: /],
  ] as const) {
    assert.throws(() => parsePortString(text), words, text);
  }
  assert.throws(
    () => parsePortString("dpdk:0", "--out"),
    /--out: unknown driver "dpdk"\n {2}remedy: there are: pcap, generator, null, xdp, packet, mmsg, auto; .* \.\/dpdk:0/,
  );
});

test("ports of a chain file", () => {
  assert.equal(parsePort({ driver: "pcap", file: "a", dir: "rx", mtu: 1500 }, "x"), {
    driver: "pcap",
    file: "a",
    dir: "rx",
    mtu: 1500,
  });
  const cases: Array<[unknown, RegExp]> = [
    [{ driver: "pcap" }, /c\.json: ports\.in: file: /],
    [{ driver: "pcap", file: "a", fil: 1 }, /unknown key "fil"; known keys: driver, file, dir, mtu/],
    [{ driver: "null", mtu: SLOT_MTU + 1 }, /mtu: /],
    [{ driver: "null", dir: "in" }, /dir: /],
    [{ driver: "xdp" }, /ports\.in: interface: /],
    [{ driver: "xdp", interface: "eth0", messages: 4 }, /unknown key "messages"/],
    [{ driver: "constructor" }, /unknown driver "constructor"/],
    [{ file: "a" }, /driver/],
    [null, /ports\.in/],
    [{ driver: "generator", streams: [{ wait: 1 }] }, /streams\[0\]: unknown key "wait"/],
  ];
  for (const [value, message] of cases) assert.throws(() => parsePort(value, "c.json: ports.in"), message);
});

test("paths are resolved by the caller", () => {
  const resolve = (path: string) => `/base/${path}`;
  assert.equal(resolvePort({ driver: "pcap", file: "a" }, resolve), { driver: "pcap", file: "/base/a" });
  const generator = resolvePort(parsePortString("generator:rules=r,hits=1"), resolve);
  assert.is(generator.driver === "generator" && generator.rules, "/base/r");
  assert.equal(resolvePort({ driver: "null" }, resolve), { driver: "null" });
});

test("null takes packets and gives none; a generator the other way round", async () => {
  const port = await openTx({ driver: "null" }, context());
  port.transmit(new Uint32Array(4), 4);
  port.flush();
  await port.close();
  await port.close();
  assert.match((await rejects(openRx({ driver: "null" }, context()))).message, /port in: null receives nothing/);
  assert.match(
    (await rejects(openTx(parsePortString("generator"), context()))).message,
    /port in: a generator makes packets/,
  );
});

test("the schema can be given to editors as JSON Schema", () => {
  const json = JSON.stringify(z.toJSONSchema(portSchema, { io: "input" }));
  for (const word of ["pcap", "generator", "imix", "flows", "streams"]) assert.match(json, word);
});

test.run();
