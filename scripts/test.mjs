// `npm test`: the set-up with what only tests need, then the tests. Arguments after `npm test --` choose test files.
import "./node-version.mjs";
import { join } from "node:path";

const { runNode } = await import("./run-node.mjs");
const { root, setUp } = await import("./set-up.mjs");
const { cacheEnvironment } = await import("./system.mjs");

if (!setUp("test")) {
  console.log("0 passed, 1 failed");
  process.exit(1);
}

const runner = join(root, "dist", "test", "run.js");
process.exit(await runNode([runner, ...process.argv.slice(2)], root, cacheEnvironment()));
