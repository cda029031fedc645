/** Reads rule files and sorts out which rules are loaded. */
import fs from "node:fs";
import path from "node:path";
import type { LoadContext } from "../../runtime/chain/nf.js";
import { ConfigError } from "../../runtime/errors.js";
import { LOWER } from "./match.js";
import type { Pattern } from "./mpse/mpse.js";
import { Variables } from "./rules/header.js";
import { parseRule, ruleLines } from "./rules/parser.js";
import { RuleProblem } from "./rules/problem.js";
import type { Rule } from "./rules/rule.js";
import type { NidsConfig } from "./schema.js";

/** What is posted to the worker: plain data. */
export interface NidsLoaded {
  /** Pass rules first, then as in the files. */
  readonly rules: readonly Rule[];
  readonly skipped: number;
  /** Distinct fast patterns. */
  readonly patterns: readonly Pattern[];
  /** [rule]: index of its pattern, or -1. */
  readonly patternOf: Int32Array;
  /** Absolute path, or null. */
  readonly alerts: string | null;
  readonly engine: NidsConfig["engine"];
}

/** How many places a warning names. */
const NAMED = 5;

/** @throws ConfigError with file and line */
export function loadRules(config: NidsConfig, context: LoadContext): NidsLoaded {
  const variables = new Variables(variablesOf(config, context));
  const skipped = new Map<string, string[]>();
  const byId = new Map<string, Rule>();
  let skippedCount = 0;
  const skip = (why: string, where: string) => {
    skippedCount++;
    const places = skipped.get(why);
    if (places === undefined) skipped.set(why, [where]);
    else places.push(where);
  };

  for (const { text, where } of sources(config, context)) {
    for (const line of ruleLines(text)) {
      const place = where(line.line);
      const rule = parse(line.text, place);
      if (rule === null) continue;
      const id = `${rule.gid}:${rule.sid}`;
      const other = byId.get(id);
      if (other === undefined || rule.rev > other.rev) byId.set(id, rule);
      if (other !== undefined) {
        const loser = rule.rev > other.rev ? other : rule;
        skip("another rule has the same sid and no lower rev", `${loser.where} (sid ${loser.sid})`);
      }
    }
  }

  for (const [name, where] of variables.missing) {
    context.warn(`${context.name}: variable $${name} is not set and means any (first in ${where}); set it in vars`);
  }
  for (const [why, places] of skipped) {
    const rules = places.length === 1 ? "1 rule" : `${places.length} rules`;
    context.warn(`${context.name}: ${rules} skipped: ${why}: ${enumerate(places)}`);
  }
  const rules = [...byId.values()];
  if (rules.length === 0) context.warn(`${context.name}: no rule is loaded, so every packet is clean; check rules`);
  rules.sort((a, b) => Number(b.action === "pass") - Number(a.action === "pass"));
  const alerts = config.alerts === undefined ? null : alertsPath(config.alerts, context);
  return { rules, skipped: skippedCount, ...distinctPatterns(rules), alerts, engine: config.engine };

  function parse(text: string, where: string): Rule | null {
    try {
      return parseRule(text, where, variables);
    } catch (error) {
      if (!(error instanceof RuleProblem)) throw error;
      if (error.kind === "malformed") throw new ConfigError(where, error.problem, error.remedy);
      if (config.on_unsupported === "error") {
        const remedy = 'remove the rule, or set on_unsupported to "skip"';
        throw new ConfigError(where, `${error.problem} is not supported`, remedy);
      }
      skip(`${error.problem} is not supported`, where);
      return null;
    }
  }
}

/** The first few of the places, a file's name only where it changes. */
function enumerate(places: readonly string[]): string {
  let file = "";
  const named = places.slice(0, NAMED).map((place) => {
    const colon = place.lastIndexOf(":") + 1;
    const same = colon > 0 && place.slice(0, colon) === file;
    file = place.slice(0, colon);
    return same ? place.slice(colon) : place;
  });
  return named.join(", ") + (places.length > NAMED ? ` and ${places.length - NAMED} more` : "");
}

interface Source {
  readonly text: string;
  /** Where a line of it stands, for messages. */
  where(line: number): string;
}

/** The start of a rule written into the configuration itself instead of a file's name. */
const INLINE_RULE = /^\s*(?:alert|drop|reject|pass|log)\s.*\(/s;

function sources(config: NidsConfig, context: LoadContext): Source[] {
  const entries = typeof config.rules === "string" ? [config.rules] : config.rules;
  return entries.map((entry, index) => {
    if (INLINE_RULE.test(entry)) {
      const key = typeof config.rules === "string" ? "rules" : `rules[${index}]`;
      return { text: Buffer.from(entry, "utf8").toString("latin1"), where: () => `${context.where}.${key}` };
    }
    const file = context.resolve(entry);
    try {
      // latin1: the bytes of a content are those of the file.
      return { text: fs.readFileSync(file, "latin1"), where: (line) => `${file}:${line}` };
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new ConfigError(`${context.where}.rules`, `cannot read ${file}: ${why}`, "correct the path");
    }
  });
}

function variablesOf(config: NidsConfig, context: LoadContext): Record<string, string> {
  const out: Record<string, string> = {};
  for (const [key, value] of Object.entries(config.vars ?? {})) {
    const name = key.replace(/^\$/, "");
    if (!/^\w+$/.test(name))
      throw new ConfigError(`${context.where}.vars`, `"${key}" is no name`, "use letters, digits and _");
    out[name] = value;
  }
  return out;
}

function alertsPath(name: string, context: LoadContext): string {
  const file = context.resolve(name);
  if (!fs.existsSync(path.dirname(file))) {
    const problem = `there is no folder ${path.dirname(file)}`;
    throw new ConfigError(`${context.where}.alerts`, problem, "create it or name another file");
  }
  if (fs.statSync(file, { throwIfNoEntry: false })?.isDirectory())
    throw new ConfigError(`${context.where}.alerts`, `${file} is a directory`, "name a file in it");
  return file;
}

/** Rules often share a pattern; case does not tell patterns apart that ignore it. */
function distinctPatterns(rules: readonly Rule[]): Pick<NidsLoaded, "patterns" | "patternOf"> {
  const patterns: Pattern[] = [];
  const ids = new Map<string, number>();
  const patternOf = new Int32Array(rules.length).fill(-1);
  rules.forEach(({ pattern }, index) => {
    if (pattern === null) return;
    const bytes = pattern.nocase ? pattern.bytes.map((byte) => LOWER[byte]!) : pattern.bytes;
    const key = `${pattern.nocase} ${Buffer.from(bytes).toString("latin1")}`;
    let id = ids.get(key);
    if (id === undefined) {
      id = patterns.push({ bytes, nocase: pattern.nocase }) - 1;
      ids.set(key, id);
    }
    patternOf[index] = id;
  });
  return { patterns, patternOf };
}
