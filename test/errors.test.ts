import { test } from "uvu";
import * as assert from "uvu/assert";
import { ConfigError, exitCodeOf, RunError, reviveError } from "../runtime/errors.js";

test("an error that crossed a worker boundary prints the same words and ends in the same exit code", () => {
  for (const error of [
    new ConfigError("chain.json: nfs.a", "unknown key", "remove it"),
    new RunError("port in", "gone"),
    new Error("no colon in this one"),
    new Error("one: two: three"),
  ]) {
    const revived = reviveError({ name: error.name, message: error.message });
    assert.is(revived.message, error.message);
    assert.is(exitCodeOf(revived), exitCodeOf(error));
  }
});

test.run();
