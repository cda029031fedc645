/**
 * NFs of users: a module that a chain names, with an export `nf` (runtime/nf.ts says what it is). It is checked whole when the chain is
 * loaded; what it does later is watched by user-nf.ts.
 */
import { existsSync } from "node:fs";
import { createRequire, register } from "node:module";
import { pathToFileURL } from "node:url";
import { z } from "zod";
import { ConfigError } from "../errors.js";
import type { PlainKernel } from "./kernel-nf.js";
import type { CreateContext, LoadContext, Nf, NfModule, OutcomeSpec } from "./nf.js";
import { guardNf } from "./user-nf.js";
import { importError, placeOfFunction, UserProblem, userError } from "./user-source.js";

/** Outcome codes are below 32, and one is ours: {@link ERROR_OUTCOME}. */
const MOST_OUTCOMES = 31;
/** What becomes of the packets of an NF that has failed. */
export const ERROR_OUTCOME = "error";
const NAME = /^[A-Za-z0-9_-]{1,64}$/;
const PUBLIC = "wingbeat/nf";

/** What `nf` of a user's module has been found to be. */
interface UserModule {
  readonly type: string;
  readonly outcomes: readonly OutcomeSpec[];
  readonly schema?: z.ZodType;
  readonly gpu?: NfModule["gpu"];
  possible?(loaded: unknown): readonly string[];
  egressPorts?(loaded: unknown): readonly number[];
  replicable?(loaded: unknown): boolean;
  readonly counted?: readonly string[];
  outputs?(config: unknown): readonly string[];
  load?(config: unknown, context: LoadContext): unknown;
  create(loaded: unknown, context: CreateContext): Nf;
}

/** Key of `nf`: what it has to be, in words, and whether it may be missing. */
const KEYS: Record<keyof UserModule, readonly [expected: string, optional: boolean]> = {
  type: ["a name of letters, digits, _ and -", false],
  outcomes: ['a list such as [{ name: "done" }]', false],
  schema: ["a zod schema (z of wingbeat/nf)", true],
  gpu: ["what kernelNf() makes", true],
  possible: ["a function", true],
  egressPorts: ["a function", true],
  replicable: ["a function", true],
  counted: ["a list of names", true],
  outputs: ["a function", true],
  load: ["a function", true],
  create: ["a function", false],
};
const FLAGS = ["drops", "alwaysDrops", "reparse"] as const;

/**
 * Imports and checks a user's module.
 * @param where the chain's key
 * @param taken types that are not free
 * @returns the NF, guarded: whatever it throws names the file and line
 * @throws ConfigError naming the file, and the line where there is one
 */
export async function importUserNf(file: string, where: string, taken: readonly string[]): Promise<NfModule> {
  if (!existsSync(file))
    throw new ConfigError(where, `there is no file ${file}`, "correct the path; it is relative to the chain");
  provideApi(file);
  let exported: { nf?: unknown; default?: unknown };
  try {
    exported = (await import(pathToFileURL(file).href)) as typeof exported;
  } catch (error) {
    throw importError(file, error);
  }
  const nf = exported.nf ?? (exported.default as { nf?: unknown } | undefined)?.nf;
  if (nf === undefined) {
    const names = Object.keys(exported);
    const has = names.length === 0 ? "it exports nothing" : `it exports ${names.join(", ")}`;
    throw new ConfigError(
      file,
      `has no export named nf; ${has}`,
      "write `export const nf = { type, outcomes, create }`",
    );
  }
  const module = checkShape(file, nf);
  if (taken.includes(module.type)) {
    throw new ConfigError(file, `nf.type is "${module.type}", which is an NF of wingbeat`, "give it a name of its own");
  }
  return guardModule(file, module);
}

let provided = false;

/** A module anywhere may import "wingbeat/nf", whether the package is installed there or not: then it gets this program's own. */
function provideApi(file: string): void {
  if (provided) return;
  try {
    createRequire(file).resolve(PUBLIC);
    return;
  } catch {
    provided = true;
  }
  const api = JSON.stringify(new URL("../nf.js", import.meta.url).href);
  const hook = `export async function resolve(specifier, context, next) {
    try {
      return await next(specifier, context);
    } catch (error) {
      if (specifier !== ${JSON.stringify(PUBLIC)}) throw error;
      return { url: ${api}, shortCircuit: true };
    }
  }`;
  register(`data:text/javascript,${encodeURIComponent(hook)}`);
}

/** @throws ConfigError naming every key that is wrong */
function checkShape(file: string, nf: unknown): UserModule {
  if (nf === null || typeof nf !== "object") throw new ConfigError(file, `nf is ${kindOf(nf)}, expected an object`);
  const given = nf as Record<string, unknown>;
  const wrong: string[] = [];
  for (const key of Object.keys(given)) {
    if (!Object.hasOwn(KEYS, key)) wrong.push(`unknown key "${key}"; known keys: ${Object.keys(KEYS).join(", ")}`);
  }
  for (const [key, [expected, optional]] of Object.entries(KEYS)) {
    const value = given[key];
    if (value === undefined) {
      if (!optional) wrong.push(`${key} is missing, expected ${expected}`);
    } else if (!fits(key, value)) wrong.push(`${key}: found ${kindOf(value)}, expected ${expected}`);
  }
  if (Array.isArray(given["outcomes"])) wrong.push(...wrongOutcomes(given["outcomes"]));
  if (wrong.length > 0) throw new ConfigError(file, `nf is not an NF:\n  ${wrong.join("\n  ")}`);
  return nf as UserModule;
}

function fits(key: string, value: unknown): boolean {
  if (key === "type") return typeof value === "string" && NAME.test(value);
  if (key === "outcomes") return Array.isArray(value);
  if (key === "counted") return Array.isArray(value) && value.every((name) => typeof name === "string");
  if (key === "schema") return typeof (value as { safeParse?: unknown } | null)?.safeParse === "function";
  if (key === "gpu") return typeof (value as { plain?: PlainKernel } | null)?.plain?.source === "function";
  return typeof value === "function";
}

function wrongOutcomes(outcomes: readonly unknown[]): string[] {
  if (outcomes.length === 0) return ["outcomes: found none, expected at least one"];
  if (outcomes.length > MOST_OUTCOMES) return [`outcomes: found ${outcomes.length}, expected at most ${MOST_OUTCOMES}`];
  const wrong: string[] = [];
  const seen = new Set<string>();
  for (const [i, outcome] of outcomes.entries()) {
    const at = `outcomes[${i}]`;
    if (outcome === null || typeof outcome !== "object") {
      wrong.push(`${at}: found ${kindOf(outcome)}, expected { name: "..." }`);
      continue;
    }
    const { name, ...flags } = outcome as Record<string, unknown>;
    if (typeof name !== "string" || !NAME.test(name)) {
      wrong.push(`${at}.name: found ${kindOf(name)}, expected a name of letters, digits, _ and -`);
    } else if (name === ERROR_OUTCOME) {
      wrong.push(`${at}.name: "${name}" is reserved for packets of an NF that has failed`);
    } else if (seen.has(name)) wrong.push(`${at}.name: "${name}" stands twice`);
    else seen.add(name);
    for (const [flag, value] of Object.entries(flags)) {
      if (!FLAGS.some((known) => known === flag))
        wrong.push(`${at}: unknown key "${flag}"; known keys: name, ${FLAGS.join(", ")}`);
      else if (value !== undefined && typeof value !== "boolean")
        wrong.push(`${at}.${flag}: found ${kindOf(value)}, expected true or false`);
    }
  }
  return wrong;
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return "a list";
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 37)}...` : value);
  return typeof value === "object" ? "an object" : typeof value === "function" ? "a function" : String(value);
}

/** A module without a schema takes no configuration. */
const NO_CONFIG = z.strictObject({});

function guardModule(file: string, module: UserModule): NfModule {
  const guarded = <A extends unknown[], R>(
    what: string,
    call: (...args: A) => R,
    right: (value: R) => string | undefined,
  ) => {
    return (...args: A): R => {
      let value: R;
      try {
        value = call.apply(module, args);
      } catch (error) {
        throw userError(file, what, error);
      }
      const wrong = right(value);
      if (wrong !== undefined) throw new ConfigError(placeOfFunction(file, call), `${what}() ${wrong}`);
      return value;
    };
  };
  const outcomes = [...module.outcomes, { name: ERROR_OUTCOME, alwaysDrops: true }];
  const { possible, egressPorts, replicable, counted, outputs, gpu } = module;
  return {
    type: module.type,
    outcomes,
    schema: module.schema ?? NO_CONFIG,
    ...(gpu && { gpu: placed(file, gpu) }),
    ...(possible && {
      possible: (loaded: unknown) => [
        ...guarded("possible", possible, (names) => wrongNames(names, module.outcomes))(loaded),
        ERROR_OUTCOME,
      ],
    }),
    ...(egressPorts && { egressPorts: guarded("egressPorts", egressPorts, wrongPorts) }),
    ...(replicable && { replicable: guarded("replicable", replicable, wrongAnswer) }),
    ...(counted && { counted }),
    ...(outputs && { outputs: guarded("outputs", outputs, wrongFiles) }),
    load: (config, context) => guardLoad(file, module, config, context),
    create: (loaded, context) => guardNf(file, () => module.create(loaded, context), module.outcomes.length, context),
  };
}

/** The device thread finds the kernel by the module's file. */
function placed(file: string, gpu: NonNullable<NfModule["gpu"]>): NonNullable<NfModule["gpu"]> {
  const plain = gpu.plain as PlainKernel;
  return { ...gpu, program: file, plain: { ...plain, where: placeOfFunction(file, plain.source) } };
}

/** Without a load, what is posted is the configuration. */
async function guardLoad(file: string, module: UserModule, config: unknown, context: LoadContext): Promise<unknown> {
  if (module.load === undefined) return config;
  let loaded: unknown;
  try {
    loaded = await module.load(config, context);
  } catch (error) {
    const problem = UserProblem.of(error);
    throw problem === undefined ? userError(file, "load", error) : importError(file, problem);
  }
  try {
    structuredClone(loaded);
  } catch (error) {
    const problem = `what load() returned cannot be posted to a thread: ${(error as Error).message}`;
    throw new ConfigError(
      placeOfFunction(file, module.load),
      problem,
      "return plain data and typed arrays; make the rest in create()",
    );
  }
  return loaded;
}

function wrongNames(names: unknown, outcomes: readonly OutcomeSpec[]): string | undefined {
  const known = outcomes.map(({ name }) => name);
  if (Array.isArray(names) && names.every((name) => known.includes(name))) return undefined;
  return `has to return a list of outcomes: of ${known.join(", ")}`;
}

function wrongPorts(ports: unknown): string | undefined {
  if (Array.isArray(ports) && ports.every((port) => Number.isInteger(port) && port >= 0)) return undefined;
  return "has to return a list of port numbers";
}

function wrongAnswer(answer: unknown): string | undefined {
  return typeof answer === "boolean" ? undefined : "has to return true or false";
}

function wrongFiles(files: unknown): string | undefined {
  if (Array.isArray(files) && files.every((file) => typeof file === "string")) return undefined;
  return "has to return a list of file names";
}
