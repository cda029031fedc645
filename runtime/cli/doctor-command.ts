import type { Command } from "commander";
import { ConfigError } from "../errors.js";
import { doctor, formatDoctor } from "./doctor.js";
import { checkJson, writeJson } from "./output.js";

export function addDoctorCommand(program: Command): void {
  program
    .command("doctor")
    .description("what this machine offers, and the exact remedy for each lack")
    .option("--install [FOR]", "install what is missing first; `test` adds what only tests need")
    .option("--json <FILE>", "write the result as JSON; -: stdout")
    .action(async (flags: { install?: true | string; json?: string }) => {
      const install = flags.install ?? false;
      if (typeof install === "string" && install !== "test") {
        throw new ConfigError("--install", `found "${install}"`, "write --install or --install=test");
      }
      checkJson(flags.json);
      const result = await doctor({ install: install as boolean | "test" });
      if (flags.json !== undefined) writeJson(flags.json, result);
      if (flags.json !== "-") process.stdout.write(`${formatDoctor(result)}\n`);
    });
}
