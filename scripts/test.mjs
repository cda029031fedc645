// `npm test`: the set-up with what only tests need, then the tests. Arguments after `npm test --` choose test files.
import "./node-version.mjs";
import { join } from "node:path";

const { runInForeground } = await import("./foreground.mjs");
const { root, setUp } = await import("./set-up.mjs");
const { cacheEnvironment } = await import("./system.mjs");

if (!(await setUp("test"))) {
  console.log("0 passed, 1 failed");
  process.exit(1);
}

const runner = join(root, "dist", "test", "run.js");
const env = { ...process.env, ...cacheEnvironment() };
const { code } = await runInForeground(process.execPath, [runner, ...process.argv.slice(2)], { cwd: root, env });
process.exit(code);
