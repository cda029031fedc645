import { spawn } from "node:child_process";

/**
 * Runs a program in the foreground, and waits for it whatever happens.
 *
 * Ctrl-C reaches the program from the terminal, and it ends in order; this process must not be gone before it. What only
 * this process gets (SIGTERM from npm or a service manager) is passed on.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {import("node:child_process").SpawnOptions} options where it runs, and what it sees
 * @returns {Promise<{code: number, interrupted: boolean}>} its exit code; 1 for one that a signal ended
 */
export function runInForeground(program, args, options) {
  let interrupted = false;
  const child = spawn(program, args, { stdio: "inherit", ...options });
  const wait = () => {
    interrupted = true;
  };
  const passOn = (signal) => {
    interrupted = true;
    child.kill(signal);
  };
  const forget = () => process.off("SIGINT", wait).off("SIGTERM", passOn).off("SIGHUP", passOn);
  process.on("SIGINT", wait).on("SIGTERM", passOn).on("SIGHUP", passOn);
  return new Promise((resolve, reject) => {
    child.on("error", (error) => {
      forget();
      reject(error);
    });
    child.on("exit", (code) => {
      forget();
      resolve({ code: code ?? 1, interrupted });
    });
  });
}
