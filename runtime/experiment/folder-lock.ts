/** Keeps two programs from writing samples into one folder. A program that was killed does not keep it locked. */
import { closeSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../errors.js";

export const LOCK_FILE = "samples.lock";

export class FolderLock {
  private constructor(private readonly path: string) {}

  /** @throws ConfigError where another program has it, or nothing can be written there */
  static take(folder: string): FolderLock {
    const path = join(folder, LOCK_FILE);
    for (let again = 0; ; again++) {
      try {
        const fd = openSync(path, "wx");
        writeSync(fd, ownerOf(process.pid) ?? String(process.pid));
        closeSync(fd);
        return new FolderLock(path);
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        if (code !== "EEXIST" || again > 0) {
          throw new ConfigError("--report", `cannot write ${path}: ${message}`, "name a folder that can be written");
        }
        checkGone(folder, path);
        rmSync(path, { force: true });
      }
    }
  }

  release(): void {
    rmSync(this.path, { force: true });
  }
}

/** @throws ConfigError where the program that made the lock is there */
function checkGone(folder: string, path: string): void {
  let owner: string;
  try {
    owner = readFileSync(path, "utf8");
  } catch {
    return;
  }
  const pid = Number.parseInt(owner, 10);
  if (Number.isNaN(pid) || ownerOf(pid) !== owner) return;
  throw new ConfigError(
    "--report",
    `process ${pid} is writing samples to ${folder}`,
    "wait for it, stop it (Ctrl-C), or name another folder",
  );
}

/** A process by its number and when it began, since numbers come again; undefined where there is none. */
function ownerOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // proc(5): the name may hold anything, so fields are counted from behind it; starttime is field 22.
    return `${pid} ${stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]}`;
  } catch {
    return undefined;
  }
}
