import { z } from "zod";
import { ConfigError } from "./errors.js";

/**
 * Parses `value` by `schema`.
 * @param where file and key the value stands at, e.g. `chain.json: nfs.ipsec.config`
 * @throws ConfigError naming every bad key, what was found, what was expected, and the keys that exist
 */
export function validate<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const lines = result.error.issues.map((issue) => describe(issue, schema, value));
  throw new ConfigError(where, lines.join("\n  "));
}

function describe(issue: z.core.$ZodIssue, schema: z.ZodType, value: unknown): string {
  const key = keyPath(issue.path);
  if (issue.code === "unrecognized_keys") {
    const good = keysAt(schema, issue.path, value);
    const list = good.length > 0 ? `; known keys: ${good.join(", ")}` : "";
    return `${key === "" ? "" : `${key}: `}unknown key ${issue.keys.map((k) => JSON.stringify(k)).join(", ")}${list}`;
  }
  const text = quote(valueAt(value, issue.path));
  return `${key === "" ? "" : `${key}: `}${messageOf(issue)} (found ${text})`;
}

function quote(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch {
    // Nested deeper than the stack.
    text = "something nested too deeply to show";
  }
  return text === undefined ? "nothing" : text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** zod says only "Invalid input" where no alternative of a union fits: says instead what each of them expected. */
function messageOf(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_key") return issue.issues.map(messageOf).join("; ");
  if (issue.code !== "invalid_union" || issue.errors.length === 0) return issue.message.replace(/^Invalid input: /, "");
  const alternatives = issue.errors.flat().map((inner) => {
    const key = keyPath(inner.path);
    return `${key === "" ? "" : `${key}: `}${messageOf(inner)}`;
  });
  return [...new Set(alternatives)].join("; or ");
}

function keyPath(path: readonly PropertyKey[]): string {
  return path.map((p, i) => (typeof p === "number" ? `[${p}]` : `${i > 0 ? "." : ""}${String(p)}`)).join("");
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value;
  for (const part of path) {
    if (at === null || typeof at !== "object") return undefined;
    at = (at as Record<PropertyKey, unknown>)[part];
  }
  return at;
}

/** The keys an object schema knows at `path`, through whatever wraps it; [] where that cannot be told. */
function keysAt(schema: z.ZodType, path: readonly PropertyKey[], value: unknown): string[] {
  let at: unknown = schema;
  for (let depth = 0; ; depth++) {
    at = unwrap(at, valueAt(value, path.slice(0, depth)));
    if (depth === path.length) break;
    if (at instanceof z.ZodObject) at = at.shape[String(path[depth])];
    else if (at instanceof z.ZodRecord) at = at.valueType;
    else if (at instanceof z.ZodArray) at = at.element;
    else return [];
  }
  return at instanceof z.ZodObject ? Object.keys(at.shape) : [];
}

/** Takes wrappers off a schema; of a union by a key, the alternative that the value's key names. */
function unwrap(schema: unknown, value: unknown): unknown {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodNullable) {
    return unwrap(schema.unwrap(), value);
  }
  if (!(schema instanceof z.ZodDiscriminatedUnion)) return schema;
  const { discriminator } = schema.def;
  const named = valueAt(value, [discriminator]);
  return schema.options.find((o) => o instanceof z.ZodObject && o.shape[discriminator]?.safeParse(named).success);
}
