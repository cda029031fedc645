/**
 * Asks a native library or a driver about itself in a process of its own, with a time limit: one may crash, hang or print when it is
 * asked, and the answer to that is a finding.
 */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { cacheEnvironment } from "../../scripts/system.mjs";

const LIMIT_MS = 20_000;

/**
 * Runs a probe, a script that prints its answer as the last line of its output, in JSON.
 * @returns what it answers; an Error says why there is no answer
 */
export function ask<Answer>(script: URL, ...args: string[]): Promise<Answer | Error> {
  const options = { timeout: LIMIT_MS, killSignal: "SIGKILL", env: { ...process.env, ...cacheEnvironment() } } as const;
  return new Promise((resolve) => {
    execFile(process.execPath, [fileURLToPath(script), ...args], options, (error, stdout, stderr) => {
      if (error === null) {
        try {
          // The last line: drivers print on stdout, too.
          resolve(JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Answer);
          return;
        } catch {
          resolve(new Error("the answer could not be read"));
          return;
        }
      }
      if (error.killed) resolve(new Error(`no answer within ${LIMIT_MS / 1000} s`));
      else if (error.signal) resolve(new Error(`it ended the process with ${error.signal}`));
      else resolve(new Error(/^\w*Error: (.*)$/m.exec(stderr)?.[1] ?? `exit code ${error.code}`));
    });
  });
}
