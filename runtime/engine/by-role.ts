/** Options that may say something for each role of core, or one thing for all. */
import { ConfigError } from "../errors.js";
import { CORE_ROLES, type CoreRole, requireRole } from "./core-spec.js";

/** What is not there is left as it is by default. */
export type ByRole<T> = Readonly<Partial<Record<CoreRole, T>>>;

export function forAll<T>(value: T): ByRole<T> {
  return { io: value, nf: value, sync: value };
}

/**
 * @param text "adaptive", or "io=adaptive,nf=spin"
 * @param parse reads the value; throws for one that is none
 * @throws ConfigError for a role that there is not, or twice
 */
export function parseByRole<T>(option: string, text: string, parse: (value: string) => T): ByRole<T> {
  if (!text.includes("=")) return forAll(parse(text));
  const values: Partial<Record<CoreRole, T>> = {};
  for (const part of text.split(",")) {
    const at = part.indexOf("=");
    if (at < 0) {
      throw new ConfigError(option, `found "${part}" in "${text}"`, `write ROLE=..., of ${CORE_ROLES.join(", ")}`);
    }
    const role = requireRole(option, part.slice(0, at));
    if (values[role] !== undefined) throw new ConfigError(option, `"${text}" names ${role} twice`, "say it once");
    values[role] = parse(part.slice(at + 1));
  }
  return values;
}
