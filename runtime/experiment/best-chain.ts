/** A chain file once more, with its NFs placed otherwise, for a folder of its own: the paths in it are rewritten to lead where they led. */
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, isAbsolute, join, relative, resolve } from "node:path";
import { inOrder, readJsonFile } from "../chain/json.js";
import type { LoadedChain } from "../chain/load.js";
import { RunError } from "../errors.js";
import { fileIdentity } from "../nic/drivers.js";
import type { Placement } from "./cell.js";

export const BEST_CHAIN_FILE = "best-chain.json";

/** Objects whose order says something: types are tried, and NFs and ports shown, as they stand. */
const ORDERED = ["ports", "types", "nfs"];

/**
 * @param chain as it was loaded from its file
 * @throws RunError where it cannot be written
 */
export function writeBestChain(chain: LoadedChain, placement: Placement, file: string): void {
  const text = placedChainText(chain, placement, dirname(resolve(file)));
  try {
    // Beside, and then into place: a disk that is full leaves no chain that is half.
    writeFileSync(`${file}.partial`, text);
    renameSync(`${file}.partial`, file);
  } catch (error) {
    rmSync(`${file}.partial`, { force: true });
    throw new RunError(file, `cannot be written: ${(error as Error).message}`, "free space or name another --report");
  }
}

/** @param folder where the text will lie, absolute */
export function placedChainText(chain: LoadedChain, placement: Placement, folder: string): string {
  const { value, order } = readJsonFile(chain.file, { what: "the chain", remedy: "", expected: "" });
  const base = dirname(resolve(chain.file));
  const used = new Set(chain.files.map(({ file }) => fileIdentity(file)));
  const move = (path: string): string => {
    if (isAbsolute(path)) return path;
    const moved = relative(folder, join(base, path));
    // A module's path has to begin so, and it does no harm to others.
    return moved.startsWith(".") ? moved : `./${moved}`;
  };
  /** Every string that, from where the chain lies, leads to a file it uses. */
  const rewritten = (part: unknown): unknown => {
    if (typeof part === "string") return part !== "" && used.has(fileIdentity(resolve(base, part))) ? move(part) : part;
    if (Array.isArray(part)) return part.map(rewritten);
    if (typeof part !== "object" || part === null) return part;
    return Object.fromEntries(Object.entries(part).map(([key, inner]) => [key, rewritten(inner)]));
  };
  const top = value as Record<string, unknown>;
  const parts = Object.entries(top).map(([key, part]) => {
    // Of ports by their keys: those that were replaced are no files of the loaded chain.
    if (key === "ports")
      return [key, mapValues(part as Record<string, object>, (port) => movedPort(port, move))] as const;
    if (key === "$schema") return [key, isUrl(part) ? part : move(String(part))] as const;
    if (key !== "nfs") return [key, rewritten(part)] as const;
    const placed = (nf: object, name: string) => ({ ...(rewritten(nf) as object), place: placement[name] ?? "cpu" });
    return [key, mapValues(part as Record<string, object>, placed)] as const;
  });
  const lines = parts.map(([key, part]) => {
    const keys = ORDERED.includes(key) ? order.get(key) : undefined;
    const entries = keys === undefined ? undefined : inOrder(part as Record<string, unknown>, keys);
    return `  ${JSON.stringify(key)}: ${entries === undefined ? indented(part) : objectText(entries)}`;
  });
  return `{\n${lines.join(",\n")}\n}\n`;
}

/** Keys of ports that are paths. */
const PORT_PATHS = ["file", "rules"];

function movedPort(port: object, move: (path: string) => string): object {
  return mapValues(port as Record<string, unknown>, (value, key) =>
    PORT_PATHS.includes(key) ? move(String(value)) : value,
  );
}

function mapValues<T>(record: Record<string, T>, of: (value: T, key: string) => unknown): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, of(value, key)]));
}

function objectText(entries: readonly (readonly [string, unknown])[]): string {
  if (entries.length === 0) return "{}";
  const lines = entries.map(([key, value]) => `    ${JSON.stringify(key)}: ${JSON.stringify(value)}`);
  return `{\n${lines.join(",\n")}\n  }`;
}

function indented(value: unknown): string {
  return JSON.stringify(value, null, 2).replaceAll("\n", "\n  ");
}

function isUrl(value: unknown): boolean {
  return /^[a-z]+:/i.test(String(value));
}
