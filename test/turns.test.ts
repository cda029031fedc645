/** Tasks that measure in turns. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { inTurns, type Measure } from "../runtime/experiment/turns.js";

/** Measures so many times, and notes when. */
const task =
  (name: string, times: number, log: string[]) =>
  async (measure: Measure<number>): Promise<string> => {
    let sum = 0;
    for (let i = 0; i < times; i++) {
      sum += await measure(async () => {
        log.push(`${name}${i}`);
        await Promise.resolve();
        return i;
      });
    }
    return `${name} ${sum}`;
  };

test("each measures once before one does again, and those that are done are passed over", async () => {
  const log: string[] = [];
  const results = await inTurns([task("a", 3, log), task("b", 1, log), task("c", 4, log), task("d", 0, log)]);
  assert.equal(log, ["a0", "b0", "c0", "a1", "c1", "a2", "c2", "c3"]);
  assert.equal(results, ["a 3", "b 0", "c 6", "d 0"]);
});

test("nothing to do is done at once", async () => {
  assert.equal(await inTurns([]), []);
});

test("the first error ends it, whether a measurement's or a task's own", async () => {
  const log: string[] = [];
  const failing = async (measure: Measure<number>) => {
    await measure(async () => 1);
    return measure(() => Promise.reject(new Error("the device is gone")));
  };
  let said = "";
  await inTurns<number, unknown>([task("a", 5, log), failing]).catch((error: Error) => {
    said = error.message;
  });
  assert.is(said, "the device is gone");
  assert.equal(log, ["a0", "a1"]);
  const own = async (measure: Measure<number>) => {
    await measure(async () => 1);
    throw new Error("its own");
  };
  await inTurns<number, unknown>([task("b", 2, []), own]).catch((error: Error) => {
    said = error.message;
  });
  assert.is(said, "its own");
});

test.run();
