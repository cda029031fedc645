import { test } from "uvu";
import * as assert from "uvu/assert";
import { arenaWith } from "./nids-frames.js";
import { handshake, randomPacket, randomRule } from "./nids-random-input.js";
import { create, judgeAll, judgeByReference, loadRules, randomFrom } from "./nids-run.js";

test("random rules on random packets: outcomes and signatures are those of the reference", async () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  let matched = 0;
  for (let round = 0; round < 120; round++) {
    const random = randomFrom(seed + round);
    const rules = Array.from({ length: 1 + random(12) }, (_, i) => randomRule(random, i + 1));
    const specs = Array.from({ length: 120 }, () =>
      random(8) === 0 ? handshake(random) : [randomPacket(random)],
    ).flat();
    const { loaded } = await loadRules(rules, { vars: { NET: "[10.0.0.2,192.168.0.0/16,2001:db8::2-2001:db8::8]" } });
    const arena = arenaWith(specs);
    // Natively and portably in turn: the engine must not make a difference.
    const nids = create(loaded, arena, round % 2 === 1);
    const fast = judgeAll(nids, arena, specs.length, 1 + random(64));
    const plain = judgeByReference(loaded, arena, specs.length);
    const wrong = plain.findIndex((verdict, i) => JSON.stringify(verdict) !== JSON.stringify(fast[i]));
    const story =
      wrong < 0
        ? ""
        : `seed ${seed}, round ${round}, packet ${JSON.stringify(specs[wrong])}, rules\n${rules.join("\n")}`;
    assert.equal(fast[wrong], plain[wrong], story);
    assert.is(
      (nids.stats!() as { alerts: number }).alerts,
      plain.reduce((sum, verdict) => sum + verdict.sids.length, 0),
    );
    matched += plain.filter((verdict) => verdict.sids.length > 0).length;
    nids.close?.();
    arena.free();
  }
  assert.ok(matched > 1000, `only ${matched} packets matched anything: the test tests nothing (seed ${seed})`);
});

test.run();
