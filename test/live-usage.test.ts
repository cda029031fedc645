/** What is asked of network interfaces and cannot be: said when the chain is read, before anything is opened; no interface is needed for it. */
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadChain } from "../runtime/chain/load.js";
import { ConfigError } from "../runtime/errors.js";
import { parsePortString } from "../runtime/nic/port-config.js";
import { folder } from "./chain-support.js";
import { FORWARD } from "./support/live.js";

async function refused(ports: object, words: RegExp): Promise<void> {
  const policy = Object.keys(ports).map((name) => `*,ingress:${name},drop\n`);
  const cwd = folder({ "chain.json": { name: "c", ports, policy: "policy.csv" }, "policy.csv": policy.join("") });
  const error = await loadChain(join(cwd, "chain.json"), { warn: () => {} }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.instance(error, ConfigError, JSON.stringify(ports));
  assert.match((error as Error).message, words);
}

const xdp = (more: object = {}) => ({ driver: "xdp", interface: "eth7", ...more });

test("two AF_XDP ports of one interface: one program, and one socket per queue", async () => {
  await refused({ a: xdp({ queue: 0 }), b: xdp({ queue: 1 }) }, /ports: a and b both receive from eth7/);
  await refused(
    { in: xdp(), out: xdp() },
    /in and out both use queue 0 of eth7.*\n {2}remedy: one port .*"dir": "both"/,
  );
  await refused({ in: xdp({ queue: 3 }), out: xdp({ queue: 3 }) }, /both use queue 3 of eth7/);
  await refused({ in: xdp(), out: xdp({ queue: 3 }) }, /both use queue 3 of eth7/);
});

test("those that go well together are taken", async () => {
  const pairs = [
    [xdp({ queue: 1 }), xdp({ queue: 0 })],
    [xdp({ queue: 1 }), xdp()],
    [xdp(), { driver: "packet", interface: "eth7" }],
    [xdp(), { driver: "xdp", interface: "eth8" }],
  ];
  for (const [a, b] of pairs) {
    const ports = { in: a, out: b };
    const cwd = folder({ ...FORWARD, "chain.json": { name: "c", ports, policy: "policy.csv" } });
    const chain = await loadChain(join(cwd, "chain.json"), { warn: () => {} });
    assert.is(chain.ports.length, 2);
  }
});

test("the names of interfaces on the command line", () => {
  const words = (text: string) => {
    try {
      parsePortString(text);
    } catch (error) {
      assert.instance(error, ConfigError);
      return (error as Error).message;
    }
    return "taken";
  };
  assert.match(words("xdp"), /^--in: xdp names no network interface\n {2}remedy: write xdp:INTERFACE/);
  assert.match(words("auto:"), /names no network interface/);
  assert.match(words("packet:,messages=3"), /names no network interface/);
  assert.match(words("xdp:abcdefghijklmnop"), /<=15 characters/);
  assert.match(words("xdp:eth1,quue=1"), /unknown key "quue"; known keys: .*queue/);
  assert.match(words("xdp:eth1,ring=100"), /a power of two/);
  assert.match(words("mmsg:eth1,messages=257"), /256/);
  assert.is(words("xdp:eth1"), "taken");
});

test.run();
