import { accessSync, constants, existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

/**
 * Read-only look at /proc, /sys and /etc in which nothing throws: on some machine every one of these files is missing,
 * empty, or refuses to be read.
 */
export class SystemFiles {
  /** @param root stands for `/`; tests give a folder with another machine's files */
  constructor(private readonly root = "/") {}

  /** The file's text without the newline at its end, or undefined. */
  text(path: string): string | undefined {
    return this.bytes(path)?.toString("utf8").trimEnd();
  }

  bytes(path: string): Buffer | undefined {
    try {
      return readFileSync(join(this.root, path));
    } catch {
      return undefined;
    }
  }

  /** The file's whole number, or undefined where it is none. */
  number(path: string): number | undefined {
    const text = this.text(path);
    return text !== undefined && /^\s*-?\d+\s*$/.test(text) ? Number(text) : undefined;
  }

  /** The folder's names in order; none where it cannot be read. */
  list(path: string): string[] {
    try {
      return readdirSync(join(this.root, path)).sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
    } catch {
      return [];
    }
  }

  /** The paths that match a pattern whose components may hold `*`, in order. */
  glob(pattern: string): string[] {
    let paths = [""];
    for (const part of pattern.split("/").slice(1)) {
      if (!part.includes("*")) {
        paths = paths.map((path) => `${path}/${part}`);
        continue;
      }
      const words = part.split("*").map((word) => word.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
      const name = new RegExp(`^${words.join(".*")}$`);
      paths = paths.flatMap((path) =>
        this.list(path).flatMap((entry) => (name.test(entry) ? [`${path}/${entry}`] : [])),
      );
    }
    return paths.filter((path) => this.exists(path));
  }

  exists(path: string): boolean {
    return existsSync(join(this.root, path));
  }

  /** True where this process may read the file. Root may read everything, whatever the mode says. */
  readable(path: string): boolean {
    try {
      accessSync(join(this.root, path), constants.R_OK);
      return true;
    } catch {
      return false;
    }
  }

  /** Where a link points, or undefined. */
  link(path: string): string | undefined {
    try {
      return readlinkSync(join(this.root, path));
    } catch {
      return undefined;
    }
  }

  /** The value of `key` in a file of `key: value` lines, as in /proc/meminfo. */
  field(path: string, key: string): string | undefined {
    for (const line of (this.text(path) ?? "").split("\n")) {
      const colon = line.indexOf(":");
      if (colon > 0 && line.slice(0, colon).trim() === key) return line.slice(colon + 1).trim();
    }
    return undefined;
  }
}
