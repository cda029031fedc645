/** AF_XDP ports where something is missing, not allowed, taken or gone: the run is refused or ended, and nothing stays attached. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { RunResult } from "../runtime/engine/result.js";
import { checkLedger, PORTS, wiresTest } from "./support/live.js";
import { until } from "./support/veth.js";

wiresTest(
  "an interface that is not there, or has no Ethernet frames, and a queue that is not there",
  async (space, cwd) => {
    space.wire("a");
    const missing = await space.wingbeat(cwd, "chain.json", "--in", "xdp:nix", "--out", "null");
    assert.is(await missing.end(), 1);
    assert.match(missing.output, /there is no network interface "nix"\n {2}remedy: name one that is there: ap?, ap?\n/);
    const queue = await space.wingbeat(cwd, "chain.json", "--in", "xdp:a,queue=1", "--out", "null");
    assert.is(await queue.end(), 1);
    assert.match(queue.output, /a has no queue 1: it has 1/);
    space.ip("tuntap", "add", "mode", "tun", "name", "t");
    for (const [option, port] of [
      ["--in", "auto:t"],
      ["--out", "packet:t"],
    ] as const) {
      const bare = await space.wingbeat(cwd, "chain.json", "--in", "xdp:a", "--out", "null", option, port);
      assert.is(await bare.end(), 1);
      assert.match(bare.output, /t carries no Ethernet frames \(link type 65534.*\n {2}remedy: /);
    }
  },
);

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
    space.wire("a", 2);
    space.wire("b");
    const args = ["chain.json", "--in", "xdp:a", "--out", "xdp:b"] as const;
    const first = await space.wingbeat(cwd, ...args);
    await first.says(PORTS);
    const second = await space.wingbeat(cwd, ...args);
    assert.is(await second.end(), 1);
    assert.match(second.output, /another XDP program is attached to a, or another wingbeat/);
    // An interface has one program for all its queues.
    const other = await space.wingbeat(cwd, "chain.json", "--in", "xdp:a,queue=1", "--out", "null");
    assert.is(await other.end(), 1);
    assert.match(other.output, /another XDP program is attached to a, or another wingbeat/);
    const third = await space.wingbeat(cwd, "chain.json", "--in", "generator:count=10", "--out", "xdp:b");
    assert.is(await third.end(), 1);
    assert.match(third.output, /queue 0 of b is taken by another AF_XDP socket/);
    assert.ok(space.attached("a"), "the first one goes on");
    await first.end("SIGKILL");
    await until(() => !space.attached("a"), "the program is gone");
    const fourth = await space.wingbeat(cwd, ...args);
    await fourth.says(PORTS);
    checkLedger(await fourth.finish());
    const one = await space.wingbeat(cwd, "chain.json", "--in", "xdp:a,queue=1", "--out", "null", "--duration", "0.2");
    assert.is(await one.end(), 0);
    assert.match(one.output, /queue 1 of 2; packets of the others go to this host's own stack/);
  },
);

wiresTest("what an interface, or the limit of locked memory, does not allow has its remedy", async (space, cwd) => {
  space.wire("a");
  const native = await space.wingbeat(cwd, "chain.json", "--in", "xdp:lo,mode=native", "--out", "null");
  assert.is(await native.end(), 1);
  assert.match(native.output, /lo has no native XDP\n {2}remedy: leave mode=native out/);
  space.wire("long");
  space.ip("link", "set", "dev", "longp", "mtu", "9000");
  const long = await space.wingbeat(cwd, "chain.json", "--in", "xdp:long,mode=native", "--out", "null");
  assert.is(await long.end(), 1);
  assert.match(long.output, /native XDP of long does not take frames of this MTU.*\n {2}remedy: ip link set/);
  space.ip("link", "set", "dev", "long", "mtu", "9000");
  const lossy = await space.wingbeat(cwd, "chain.json", "--in", "packet:long", "--out", "null", "--duration", "0.2");
  assert.is(await lossy.end(), 0);
  assert.match(
    lossy.output,
    /packets of more than 1746 bytes are lost.*the MTU of long is 9000: ip link set dev long mtu/,
  );
  const limited = ["prlimit", "--memlock=8388608", "setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"];
  const args = ["chain.json", "--in", "xdp:a", "--out", "null"] as const;
  const locked = space.start(cwd, ...limited, ...space.command(...args));
  assert.is(await locked.end(), 1);
  assert.match(
    locked.output,
    /limit of locked memory has no room for 32 MiB .*\n {2}remedy: sudo prlimit --pid \$\$ --memlock=unlimited/,
  );
  const timed = space.start(cwd, ...space.command(...args, "--duration", "0.2", "--json", "-"));
  assert.is(await timed.end(), 0, timed.output);
  checkLedger(JSON.parse(timed.output.slice(timed.output.indexOf("{"))) as RunResult);
});

test.run();
