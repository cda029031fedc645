/** An OpenCL device works on packets where AF_XDP has put them: its shared memory is the packet memory of the sockets. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { folder, gateway, run } from "./chain-support.js";
import { COUNT, checkLedger, PORTS, traffic, wiresTest } from "./support/live.js";

wiresTest("ipsec on OpenCL gives the digests it gives on the CPU from a capture", async (space) => {
  const cwd = folder(gateway());
  space.wire("a");
  space.wire("b");
  const input = traffic(cwd);
  const expected = run(cwd, "chain.json", "--seed", "5", "--in", input, "--out", "null", "--device", "none");
  const gpu = ["--seed", "5", "--device", "opencl", "--place", "protect=gpu"];
  const wing = await space.wingbeat(cwd, "chain.json", ...gpu, "--in", "xdp:a", "--out", "xdp:b");
  await wing.says(PORTS);
  space.run("tcpreplay", "-q", "-i", "ap", "--topspeed", input);
  await space.until("a", COUNT);
  const result = await wing.finish();
  checkLedger(result);
  assert.ok(result.sync.packets > 0);
  assert.ok(result.device!.zero_copy);
  assert.is(result.sync.bytes_copied, 0);
  assert.is(result.digest, expected.digest);
  assert.equal(result.ledger.drops, expected.ledger.drops);
});

test.run();
