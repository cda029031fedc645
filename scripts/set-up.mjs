/**
 * The set-up that every command of the README begins with: npm packages, compiled code, system packages. Each step looks
 * first whether there is anything to do, so a second run takes milliseconds.
 */
import { existsSync, lstatSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, isBuilt } from "./build.mjs";
import { runInForeground } from "./foreground.mjs";
import { describe, installSystem } from "./install.mjs";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/** Diagnostics go to stderr: stdout is for results. */
export function say(line) {
  console.error(`set-up: ${line}`);
}

/**
 * @param {"run" | "test"} purpose
 * @returns {Promise<boolean>} false where the program cannot be had at all; what to do has been said
 */
export async function setUp(purpose) {
  if (!(await installNpmPackages())) return false;
  if (!isBuilt()) {
    say("compiling");
    if (!build()) {
      say("the sources do not compile (the compiler's messages are above); mend them and run the same command again");
      return false;
    }
  }
  for (const line of describe(installSystem({ purpose, force: false, say }))) say(line);
  return true;
}

/** Brings node_modules to what package-lock.json says; returns whether there is one to go on with. */
async function installNpmPackages() {
  const difference = npmDifference();
  if (difference === undefined) return true;
  const folder = join(root, "node_modules");
  if (lstatSync(folder, { throwIfNoEntry: false })?.isSymbolicLink()) {
    // npm ci would empty a folder that other work trees use.
    say(
      `node_modules is a link and left as it is, though ${difference}; to renew it: npm ci, in the folder it leads to`,
    );
    return existsSync(folder);
  }
  say(`installing npm packages (${difference})`);
  // One quick retry, because the default three take over a minute to find out that there is no network. Optional
  // dependencies stay: koffi's and the compiler's binaries are.
  const options = ["ci", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1"];
  const quick = ["--fetch-retry-mintimeout=500", "--fetch-retry-maxtimeout=2000", "--loglevel=error"];
  const npm = process.env.npm_execpath;
  const [program, ...first] = npm?.endsWith("js") ? [process.execPath, npm] : ["npm"];
  // stdout is for results, so what npm says goes to stderr.
  const streams = { cwd: root, stdio: ["ignore", 2, 2] };
  let reason = "npm ci failed";
  try {
    const { code, interrupted } = await runInForeground(program, [...first, ...options, ...quick], streams);
    if (interrupted) process.exit(130);
    if (code === 0) return true;
  } catch (error) {
    reason = `npm could not be started (${error.message})`;
  }
  const usable = ["koffi/package.json", "typescript/bin/tsc"].every((file) => existsSync(join(folder, file)));
  say(
    `${reason}; ${usable ? "going on with the npm packages that are there" : "nothing runs without the npm packages"}`,
  );
  say("to add them: npm ci");
  return usable;
}

/**
 * In what node_modules differs from package-lock.json, or undefined. npm writes what it installed into a lock file of its
 * own when it is done, so an interrupted installation differs, too.
 */
function npmDifference() {
  const wanted = packagesOf(join(root, "package-lock.json"));
  const installed = packagesOf(join(root, "node_modules", ".package-lock.json"));
  if (wanted === undefined) return undefined;
  if (installed === undefined) return "there are none";
  for (const [path, { version, optional }] of Object.entries(wanted)) {
    if (path === "") continue;
    const there = installed[path];
    // Binaries of other processors are optional, and not installed.
    if (there === undefined && !optional) return `${path} is missing`;
    if (there !== undefined && there.version !== version) return `${path} is ${there.version}, not ${version}`;
  }
  const extra = Object.keys(installed).find((path) => wanted[path] === undefined);
  return extra === undefined ? undefined : `${extra} is no longer used`;
}

function packagesOf(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8")).packages;
  } catch {
    return undefined;
  }
}
