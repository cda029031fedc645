/**
 * Links that go down and up, senders in bursts of any size and pace, a run that is stopped and goes on, all at random and all at once: what the
 * kernel has carried to the interface is what the run has received or missed, and what it says it has sent is what the kernel has carried away.
 * `WINGBEAT_CHAOS_SECONDS=300` goes on for longer, `WINGBEAT_TEST_SEED` repeats actions, though not their timing.
 */
import { setTimeout as delay } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { folder, gateway } from "./chain-support.js";
import { checkLedger, makeTraffic, OPEN, wiresTest } from "./support/live.js";
import { freshSeed, Random } from "./support/random.js";
import type { Running, Veth } from "./support/veth.js";

const SECONDS = Number(process.env["WINGBEAT_CHAOS_SECONDS"] ?? 4);
const SEED = freshSeed();
/** A run of its own each so many seconds. */
const ROUND_SECONDS = 12;

/** One sender at a time; it sends in bursts until it is told to end. */
async function send(space: Veth, cwd: string, file: string, random: Random, until: number): Promise<void> {
  while (Date.now() < until) {
    const pace = random.chance(0.3) ? ["--topspeed"] : ["--pps", `${random.int(1000, 40_000)}`];
    const args = ["-q", "-i", "ap", ...pace, "--limit", `${random.int(1, 6000)}`, "--loop", "4", file];
    const sender = space.start(cwd, "tcpreplay", ...args);
    await sender.end();
    await delay(random.int(0, 100));
  }
}

/** Down, for a while, and up again. */
async function flap(space: Veth, name: string, ms: number): Promise<void> {
  space.ip("link", "set", "dev", name, "down");
  await delay(ms);
  space.ip("link", "set", "dev", name, "up");
}

async function disturb(space: Veth, wing: Running, random: Random, until: number): Promise<string[]> {
  const done: string[] = [];
  while (Date.now() < until) {
    const ms = random.int(0, random.chance(0.25) ? 400 : 40);
    const name = random.pick(["a", "ap", "b", "bp", undefined]);
    done.push(name === undefined ? `stop ${ms}` : `${name} ${ms}`);
    if (name !== undefined) await flap(space, name, ms);
    else {
      wing.child.kill("SIGSTOP");
      await delay(ms);
      wing.child.kill("SIGCONT");
    }
    await delay(random.int(0, 150));
  }
  return done;
}

async function round(space: Veth, random: Random, seconds: number): Promise<void> {
  const cwd = folder(gateway());
  const file = makeTraffic(cwd, [64, 65, 300, 1400], 1500);
  const driver = random.pick(["xdp", "xdp", "packet", "mmsg"]);
  const ring = driver === "xdp" ? `,ring=${64 << random.int(0, 5)}` : "";
  const mode = driver === "xdp" ? `,mode=${random.pick(["native", "skb"])}` : "";
  const device = random.chance(0.5) ? ["--device", "none"] : ["--device", "opencl", "--place", "protect=gpu"];
  const args = ["--in", `${driver}:a${ring}${mode}`, "--out", `${driver}:b${ring}`, ...device];
  const wing = await space.wingbeat(cwd, "chain.json", ...args);
  await wing.says(OPEN);
  const before = { sent: space.sent("ap"), left: space.sent("b") };

  const until = Date.now() + seconds * 1000;
  const [actions] = await Promise.all([
    disturb(space, wing, random, until),
    send(space, cwd, file, new Random(random.u32()), until),
  ]);
  const result = await wing.finish();
  const sent = space.sent("ap") - before.sent;
  const left = space.sent("b") - before.left;
  const [port, out] = result.ports;
  const what = `${args.join(" ")}; ${actions.join(", ")}; ${JSON.stringify({ sent, left, ports: result.ports, drops: result.ledger.drops })}: `;
  checkLedger(result, what);
  assert.is(port!.ipackets + port!.imissed + port!.ierrors, sent, what);
  assert.is(out!.opackets, left, what);
  assert.is(result.packets.rx, port!.ipackets, what);
}

wiresTest(`links, senders and the run itself come and go for ${SECONDS} s, seed ${SEED}`, async (space) => {
  const random = new Random(SEED);
  space.wire("a");
  space.wire("b");
  for (let left = SECONDS; left > 0; left -= ROUND_SECONDS) await round(space, random, Math.min(left, ROUND_SECONDS));
});

test.run();
