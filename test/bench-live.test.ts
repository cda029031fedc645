/** Experiments of bench/live: in their quick form, with turns so short that their figures mean nothing. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { livePeer, whyNoWires } from "../bench/live/wires.js";
import { PeerSkipped } from "../bench/peer.js";
import { skipUnless } from "./skip.js";
import { of, runQuick } from "./support/bench-quick.js";

const lack = whyNoWires();
/** Namespaces that have outlived their bench; those of benches that run beside this test are not meant. */
function outlived(): string[] {
  if (lack !== undefined) return [];
  const list = execFileSync("ip", ["netns", "list"], { encoding: "utf8" });
  const left = [...list.matchAll(/wingbeat-bench-(\d+)/g)].filter(([, pid]) => !existsSync(`/proc/${pid}`));
  return left.map(([name]) => name);
}

/** A bench that somebody has killed before, or kills beside this test, is none of its own. */
const before = new Set(outlived());
function leavesNothing(): void {
  assert.equal(
    outlived().filter((name) => !before.has(name)),
    [],
  );
}

test("live-ring, quick: rings over plain memory move what they are given", async () => {
  const findings = await runQuick("live-ring", true, undefined, { repeats: 5 });
  assert.ok(of(findings, /^batch 64$/, /rings/) < of(findings, /^batch 1$/, /rings/), "bursts cost less than packets");
  for (const { figure, value } of findings)
    if (/heap/.test(figure)) assert.ok(value.median < 64, `${figure} ${value.median} B`);
});

test("live-forwarding, quick: wingbeat and the C peer forward, and nothing stays behind", async () => {
  if (skipUnless(lack === undefined, lack ?? "")) return;
  const findings = await runQuick("live-forwarding", true, ["xdp native, 64 B"]);
  for (const subject of [/^wingbeat$/, /^C peer$/]) assert.ok(of(findings, subject, /^forwarded$/) > 0);
  leavesNothing();
});

test("live-loss, quick: the ledger has as many packets as were sent", async () => {
  if (skipUnless(lack === undefined, lack ?? "")) return;
  const findings = await runQuick("live-loss", true, ["ipsec -> nids -> router, 512 B"]);
  for (const { figure, value } of findings) {
    if (/not in the ledger|balance/.test(figure)) assert.is(value.median, 0, figure);
  }
  leavesNothing();
});

test("live-waiting, quick: every policy forwards, and spinning takes most", async () => {
  if (skipUnless(lack === undefined, lack ?? "")) return;
  const findings = await runQuick("live-waiting", true, undefined, { turnMs: 40 });
  const idle = (policy: RegExp) => of(findings, policy, /processor time, idle/);
  assert.ok(idle(/^adaptive$/) < idle(/^spin$/));
  leavesNothing();
});

test("a machine without a compiler skips with the remedy", () => {
  const peer = livePeer();
  if (peer instanceof PeerSkipped) assert.match(peer.reason, /apt-get install gcc/);
  else assert.match(peer, /live-[0-9a-f]{16}$/);
});

test.run();
