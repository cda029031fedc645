/** `compare` as a program, on a model instead of the chain: what tests kill, interrupt and resume. FAKE holds the model's options as JSON. */
import { Command } from "commander";
import { addCompareCommand } from "../../runtime/cli/compare.js";
import { exitCodeOf } from "../../runtime/errors.js";
import { type Fake, fakeTools } from "./fake-tools.js";

const program = new Command("wingbeat").exitOverride();
addCompareCommand(program, fakeTools(JSON.parse(process.env["FAKE"] ?? "{}") as Fake));

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`wingbeat: ${(error as Error).message}\n`);
  process.exitCode = exitCodeOf(error);
}
