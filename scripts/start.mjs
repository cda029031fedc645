// `npm start`: the set-up, then the bundled example. examples/start.json lists the program's command lines:
//   { "steps": [{ "say": "what this shows", "run": ["run", "examples/NAME.json"] }], "end": ["what is printed last"] }
// Arguments after `npm start --` are added to the last one.
import "./node-version.mjs";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const { runInForeground } = await import("./foreground.mjs");
const { root, say, setUp } = await import("./set-up.mjs");

if (!(await setUp("run"))) process.exit(1);

const file = "examples/start.json";
let steps;
let end;
try {
  ({ steps, end } = JSON.parse(readFileSync(join(root, file), "utf8")));
  if (!Array.isArray(steps)) throw new Error('"steps" must be a list of {"say", "run"}');
} catch (error) {
  say(`${file}: cannot be read: ${error.message}\n  remedy: git checkout -- ${file}`);
  process.exit(2);
}

// Where the example writes; git does not keep an empty folder.
mkdirSync(join(root, "out"), { recursive: true });

const program = join(root, "dist", "runtime", "cli", "main.js");
for (const [index, step] of steps.entries()) {
  const args = index === steps.length - 1 ? [...step.run, ...process.argv.slice(2)] : step.run;
  console.error(`\n${step.say}\n$ npm run -s wingbeat -- ${args.join(" ")}`);
  const { code, interrupted } = await runInForeground(process.execPath, [program, ...args], { cwd: root });
  if (code !== 0 || interrupted) process.exit(code);
}
if (Array.isArray(end)) for (const line of end) console.log(line);
