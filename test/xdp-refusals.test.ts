/** AF_XDP ports where something is missing, not allowed, taken or gone: the run is refused or ended, and nothing stays attached. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { checkLedger, PORTS, wiresTest } from "./support/live.js";
import { until } from "./support/veth.js";

wiresTest("an interface that is not there, and a queue that is not", async (space, cwd) => {
  space.wire("a");
  const missing = await space.wingbeat(cwd, "chain.json", "--in", "xdp:nix", "--out", "null");
  assert.is(await missing.end(), 1);
  assert.match(missing.output, /there is no network interface "nix"\n {2}remedy: name one that is there: ap?, ap?\n/);
  const queue = await space.wingbeat(cwd, "chain.json", "--in", "xdp:a,queue=1", "--out", "null");
  assert.is(await queue.end(), 1);
  assert.match(queue.output, /a has no queue 1: it has 1/);
});

wiresTest("without rights the capability is named", async (space, cwd) => {
  space.wire("a");
  const command = (lacking: string) => ["setpriv", `--bounding-set=${lacking}`, `--inh-caps=${lacking}`];
  for (const [lacking, words] of [
    ["-net_raw", /lacks CAP_NET_RAW\n {2}remedy: run as root/],
    ["-bpf,-sys_admin", /lacks CAP_BPF and CAP_NET_ADMIN/],
  ] as const) {
    const running = space.start(
      cwd,
      ...command(lacking),
      ...space.command("chain.json", "--in", "xdp:a", "--out", "null"),
    );
    assert.is(await running.end(), 1);
    assert.match(running.output, words);
  }
});

wiresTest(
  "a second instance, and another program on the interface, are refused; kill -9 leaves nothing",
  async (space, cwd) => {
    space.wire("a");
    space.wire("b");
    const args = ["chain.json", "--in", "xdp:a", "--out", "xdp:b"] as const;
    const first = await space.wingbeat(cwd, ...args);
    await first.says(PORTS);
    const second = await space.wingbeat(cwd, ...args);
    assert.is(await second.end(), 1);
    assert.match(second.output, /another XDP program is attached to a, or another wingbeat/);
    const third = await space.wingbeat(cwd, "chain.json", "--in", "generator:count=10", "--out", "xdp:b");
    assert.is(await third.end(), 1);
    assert.match(third.output, /queue 0 of b is taken by another AF_XDP socket/);
    assert.ok(space.attached("a"), "the first one goes on");
    await first.end("SIGKILL");
    await until(() => !space.attached("a"), "the program is gone");
    const fourth = await space.wingbeat(cwd, ...args);
    await fourth.says(PORTS);
    checkLedger(await fourth.finish());
  },
);

wiresTest("an interface that goes away ends the run with its name", async (space, cwd) => {
  space.wire("a");
  const wing = await space.wingbeat(cwd, "chain.json", "--in", "xdp:a", "--out", "null");
  await wing.says(/port in: a by AF_XDP/);
  space.ip("link", "del", "dev", "a");
  assert.is(await wing.end(), 1);
  assert.match(wing.output, /the interface a is gone/);
});

test.run();
