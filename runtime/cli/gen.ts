/** `wingbeat gen OUT`: makes captures. */
import type { Command } from "commander";
import { ConfigError } from "../errors.js";
import { fileIdentity } from "../nic/drivers.js";
import { generate } from "../nic/generator/generate.js";
import type { GeneratorInput } from "../nic/generator/options.js";
import { parseInteger } from "./options.js";
import { checkJson, warn, writeJson } from "./output.js";

interface GenFlags {
  size: string;
  count: string;
  flows: string;
  seed: string;
  hits?: string;
  rules?: string;
  json?: string;
}

export function addGenCommand(program: Command): void {
  program
    .command("gen")
    .description("make a capture of generated traffic (pcap or pcapng, .gz or not, by its name)")
    .argument("<OUT>", "capture to write")
    .option("--size <N|imix>", "frame size in bytes, layer 2 without FCS; imix: 28 x 64, 16 x 570, 4 x 1518", "imix")
    .option("--count <N>", "packets", "100000")
    .option("--flows <N>", "distinct 5-tuples", "1000")
    .option("--seed <N>", "same seed, same capture", "1")
    .option("--hits <SHARE>", "share of packets that hold a content of --rules, 0 to 1")
    .option("--rules <FILE>", "rule file for --hits")
    .option("--json <FILE>", "write the result as JSON; -: stdout")
    .action((out: string, flags: GenFlags) => {
      checkJson(flags.json, [{ file: out, what: "the capture itself" }]);
      if (flags.rules !== undefined && fileIdentity(flags.rules) === fileIdentity(out)) {
        throw new ConfigError(
          out,
          "is the file of --rules and would be overwritten",
          "name another file for the capture",
        );
      }
      const { packets, bytes } = generate(out, generatorOptions(flags), warn);
      if (flags.json !== undefined) writeJson(flags.json, { file: out, packets, bytes });
      if (flags.json !== "-") process.stdout.write(`${out}: ${packets} packets, ${bytes} bytes\n`);
    });
}

const BIG = 0xffff_ffff;

function generatorOptions(flags: GenFlags): GeneratorInput {
  const hits = flags.hits === undefined ? undefined : Number(flags.hits);
  if (hits !== undefined && !(hits >= 0 && hits <= 1)) {
    throw new ConfigError("--hits", `expected a share from 0 to 1, found "${flags.hits}"`);
  }
  if (hits !== undefined && hits > 0 && flags.rules === undefined) {
    throw new ConfigError("--hits", "hits need contents to hit", "add --rules FILE");
  }
  return {
    size: flags.size === "imix" ? "imix" : parseInteger("--size", flags.size, 0, BIG),
    count: parseInteger("--count", flags.count, 1, BIG),
    flows: parseInteger("--flows", flags.flows, 1, BIG),
    seed: parseInteger("--seed", flags.seed, 0, BIG),
    ...(hits === undefined ? {} : { hits }),
    ...(flags.rules === undefined ? {} : { rules: flags.rules }),
  };
}
