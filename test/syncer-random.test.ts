/** CPUSyncer against a plain GPUSyncer on random schedules: every packet comes back once, every row is as it has to be. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { freshSeed, Random } from "./support/random.js";
import { SyncerScenario } from "./support/syncer-scenario.js";

const SCENARIOS = 300;
const ACTIONS = 400;

test(`${SCENARIOS} random schedules of adds, publishes, steps of workgroups, leaves and launches`, () => {
  const seed = freshSeed();
  const random = new Random(seed);
  let rows = 0;
  let dummies = 0;
  let launches = 0;
  let abandoned = 0;
  let grouped = 0;
  for (let i = 0; i < SCENARIOS; i++) {
    const scenario = new SyncerScenario(random);
    try {
      for (let action = 0; action < ACTIONS; action++) scenario.act();
      abandoned += random.chance(0.4) ? scenario.abandon() : scenario.drain();
      scenario.checkCounters();
    } catch (error) {
      const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
      throw new Error(`WINGBEAT_TEST_SEED=${seed}, scenario ${i} (${scenario.name}): ${message}`);
    } finally {
      scenario.close();
    }
    rows += scenario.rows;
    dummies += scenario.dummies;
    launches += scenario.launches;
    grouped += scenario.lockStep ? scenario.rows : 0;
  }
  // The schedules reach what they are for.
  assert.ok(rows > 20 * SCENARIOS, `only ${rows} rows`);
  assert.ok(dummies > SCENARIOS && abandoned > SCENARIOS && launches > 2 * SCENARIOS && grouped > SCENARIOS);
});

test.run();
