/** Reads one of sysfs's numbers again and again. */
import { RunError } from "../../errors.js";
import type { SystemFiles } from "../../native/system-files.js";

/**
 * @param name the domain, for messages
 * @returns a function that reads the file's whole number; it throws RunError where the file is gone, refuses, or holds none
 */
export function sensorFile(files: SystemFiles, path: string, name: string, remedy: string): () => number {
  return () => {
    const value = files.number(path);
    if (value !== undefined) return value;
    if (!files.exists(path))
      throw new RunError(name, `${path} is gone: the meter stopped answering`, "measure again, or use another --meter");
    if (!files.readable(path)) throw new RunError(name, `this user may not read ${path}`, remedy);
    const text = files.text(path);
    const problem =
      text === undefined ? "cannot be read: the meter stopped answering" : `holds "${text}", not a whole number`;
    throw new RunError(name, `${path} ${problem}`, "measure again, or use another --meter");
  };
}
