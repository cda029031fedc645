import { spawn } from "node:child_process";

/**
 * Runs a script of ours in the foreground and returns its exit code.
 *
 * Ctrl-C reaches the script from the terminal, and it ends in order; this process waits for that. What only this process
 * gets (SIGTERM from npm or a service manager) is passed on.
 *
 * @param {readonly string[]} args script and arguments
 * @param {string} folder working directory
 * @param {Record<string, string>} [environment] added to this process's
 * @returns {Promise<number>}
 */
export function runNode(args, folder, environment = {}) {
  const env = { ...process.env, ...environment };
  const child = spawn(process.execPath, args, { cwd: folder, env, stdio: "inherit" });
  const wait = () => {};
  const passOn = (signal) => child.kill(signal);
  process.on("SIGINT", wait).on("SIGTERM", passOn).on("SIGHUP", passOn);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      process.off("SIGINT", wait).off("SIGTERM", passOn).off("SIGHUP", passOn);
      resolve(code ?? (signal === "SIGINT" ? 130 : 1));
    });
  });
}
