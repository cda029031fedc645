/**
 * The folder of a report. It is the report's alone: `manifest.json` marks it and names the report's files. Another report is written over the
 * first, file by file; what else lies in a marked folder stays. A folder with anything in it and no mark is refused.
 *
 * Everything is written beside first, in a `.partial-` folder of its own, and renamed into place, index.html last: a killed or failed run leaves
 * no page, or the one that was there until then, but none that is half.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { ConfigError, RunError } from "../errors.js";
import { makeFolder } from "../folders.js";

export interface ReportFile {
  /** From the folder, with "/". */
  readonly path: string;
  readonly content: string | Uint8Array;
}

export const PAGE = "index.html";
export const MARK = "manifest.json";
/** Key of the mark's entry. */
export const MARK_KEY = "report";
const PARTIAL = ".partial-";
/** What a report's files may be called: nothing that leads out of the folder. */
const OURS = /^(?:(?:data|plots)\/)?[A-Za-z0-9-]+\.(?:html|json|csv|png)$/;

/**
 * Refuses a folder that cannot take a report: before the work, so that no hour of it is lost.
 *
 * @param beside names in it that are the verb's own, though there is no report yet
 * @throws ConfigError
 */
export function checkReportFolder(folder: string, beside: readonly string[] = []): void {
  if (existsSync(folder) && !statSync(folder).isDirectory()) {
    throw new ConfigError("--report", `${folder} is a file, expected a folder`, "name a new or an empty folder");
  }
  let names: string[];
  try {
    // Trying is the only test that holds for root, read-only file systems and folders that are yet to be made.
    makeFolder(folder);
    rmSync(mkdtempSync(join(folder, PARTIAL)), { recursive: true });
    names = readdirSync(folder);
  } catch (error) {
    throw new ConfigError(
      "--report",
      `cannot write to ${folder}: ${(error as Error).message}`,
      "name a folder of your own",
    );
  }
  const foreign = names.filter((name) => !name.startsWith(PARTIAL) && !beside.includes(name));
  if (foreign.length === 0 || filesOfReport(folder) !== undefined) return;
  const some = foreign.slice(0, 3).join(", ") + (foreign.length > 3 ? ` and ${foreign.length - 3} more` : "");
  throw new ConfigError(
    "--report",
    `${folder} holds ${some}, and no report of wingbeat`,
    "name a new or an empty folder",
  );
}

/** Puts the files in place, {@link MARK} first and {@link PAGE} last, and removes those of the report before that are no more. @throws RunError */
export function replaceReport(folder: string, files: readonly ReportFile[]): void {
  let doing = `create ${folder}`;
  let partial: string | undefined;
  try {
    makeFolder(folder);
    const before = filesOfReport(folder) ?? [];
    for (const name of readdirSync(folder)) {
      if (name.startsWith(PARTIAL)) rmSync(join(folder, name), { recursive: true, force: true });
    }
    partial = mkdtempSync(join(folder, PARTIAL));
    for (const { path, content } of files) {
      doing = `write ${join(folder, path)}`;
      mkdirSync(dirname(join(partial, path)), { recursive: true });
      writeDurably(join(partial, path), content);
    }
    const rank = ({ path }: ReportFile) => (path === MARK ? 0 : path === PAGE ? 2 : 1);
    const inOrder = [...files].sort((a, b) => rank(a) - rank(b));
    const gone = before.filter((path) => path !== PAGE && !files.some((file) => file.path === path));
    // From here on the page that was there would stand beside files of another report.
    doing = `replace ${join(folder, PAGE)}`;
    rmSync(join(folder, PAGE), { force: true });
    for (const path of gone) rmSync(join(folder, path), { force: true });
    for (const { path } of inOrder) {
      doing = `put ${join(folder, path)} in its place`;
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      renameSync(join(partial, path), join(folder, path));
    }
  } catch (error) {
    throw failure(doing, error as NodeJS.ErrnoException);
  } finally {
    try {
      if (partial !== undefined) rmSync(partial, { recursive: true, force: true });
    } catch {
      // The next report in this folder removes it.
    }
  }
}

function failure(doing: string, error: NodeJS.ErrnoException): RunError {
  const full = error.code === "ENOSPC" || error.code === "EDQUOT";
  const remedy = full ? "make room, or name a folder on another disk" : "name a folder that can be written";
  return new RunError("report", `cannot ${doing}: ${full ? "the disk is full" : error.message}`, remedy);
}

/** A file whose content is on the disk before its name is: else a power cut would leave an empty file behind. */
function writeDurably(path: string, content: string | Uint8Array): void {
  const file = openSync(path, "wx");
  try {
    writeFileSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Paths of the report in a folder, or undefined where there is none of ours. */
function filesOfReport(folder: string): string[] | undefined {
  const mark = join(folder, MARK);
  if (!existsSync(mark)) return undefined;
  try {
    const { files } = (JSON.parse(readFileSync(mark, "utf8")) as { report: { files: { path: string }[] } })[MARK_KEY];
    return files.map(({ path }) => path).filter((path) => OURS.test(path));
  } catch {
    return undefined;
  }
}
