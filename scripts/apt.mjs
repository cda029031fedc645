// @ts-check
/**
 * Debian packages, with rights (apt-get install) and without (downloaded and unpacked into the cache folder).
 * Nothing here asks, and everything ends by itself where there is no network.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder, packagesFolder, SWIFTSHADER_FILES } from "./system.mjs";

/** An apt command failed; the message is apt's own reason, in one line. */
export class AptError extends Error {}

const DAY_MS = 24 * 3600 * 1000;
const SYSTEM_LISTS = "/var/lib/apt/lists";
const NO_DOWNLOAD_HANGS = [
  "-o",
  "Acquire::Retries=1",
  "-o",
  "Acquire::http::Timeout=15",
  "-o",
  "Acquire::https::Timeout=15",
];
const QUIET_ENVIRONMENT = {
  DEBIAN_FRONTEND: "noninteractive",
  NEEDRESTART_SUSPEND: "1", // Ubuntu would ask which services to restart
  LC_ALL: "C", // the words parsed below
};

export const isRoot = process.getuid?.() === 0;

/** True where this is a Debian-like system. */
export function hasApt() {
  return existsSync("/usr/bin/apt-get") && existsSync("/usr/bin/dpkg-deb");
}

/**
 * Installs packages into the system. Needs root.
 *
 * @param {readonly string[]} packages
 */
export function installAsRoot(packages) {
  // An interrupted installation makes every later one fail until this is done.
  if (readdirSync("/var/lib/dpkg/updates").length > 0) run("dpkg", ["--configure", "-a", "--force-confold"], 300);
  const keepConfiguration = ["-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"];
  const wait = ["-o", "DPkg::Lock::Timeout=120"]; // a fresh machine's unattended upgrades hold the lock for a while
  run(
    "apt-get",
    [
      "install",
      "-y",
      "-q",
      "--no-install-recommends",
      ...keepConfiguration,
      ...wait,
      ...NO_DOWNLOAD_HANGS,
      ...packages,
    ],
    900,
  );
}

/**
 * Unpacks packages, and what they depend on that the system lacks, into the cache folder. Needs no rights.
 *
 * @param {readonly string[]} packages
 * @param {readonly string[]} lists options from {@link freshLists}
 */
export function unpackWithoutRights(packages, lists) {
  inScratch((scratch) => {
    const plan = run("apt-get", ["install", "-s", "--no-install-recommends", ...lists, ...packages], 60);
    // "Inst NAME (VERSION ...": new, dependencies first. "Inst NAME [OLD] (NEW ...": an upgrade, which stays the system's
    // affair: a second libc beside the system's would break every program that finds it.
    const needed = [...plan.matchAll(/^Inst (\S+) \(/gm)].map((match) => /** @type {string} */ (match[1]));
    download(needed, scratch, lists);
    // Everything is unpacked before anything is moved, and moved by renaming, so that Ctrl-C leaves no half library behind
    // where it would be found.
    const unpacked = needed.map((name) => unpack(name, scratch));
    for (const folder of unpacked) {
      // Packages older than the merge of /lib into /usr/lib, and of the rest, still say /lib.
      for (const old of ["bin", "sbin", "lib"]) {
        if (existsSync(join(folder, old))) moveTree(join(folder, old), join(packagesFolder(), "usr", old));
      }
      if (existsSync(join(folder, "usr"))) moveTree(join(folder, "usr"), join(packagesFolder(), "usr"));
    }
  });
}

/**
 * Takes SwiftShader and the Vulkan loader out of Chromium's package. Needs no rights.
 *
 * @param {readonly string[]} lists options from {@link freshLists}
 */
export function fetchSwiftShader(lists) {
  inScratch((scratch) => {
    download(["chromium-common"], scratch, lists);
    const files = join(unpack("chromium-common", scratch), "usr", "lib", "chromium");
    const lacking = SWIFTSHADER_FILES.filter((name) => !existsSync(join(files, name)));
    if (lacking.length > 0) throw new AptError(`this chromium-common has no ${lacking.join(", ")}`);
    for (const name of SWIFTSHADER_FILES) renameSync(join(files, name), join(cacheFolder(), name));
  });
}

/**
 * Makes sure that there are package lists of today, and returns the options that make apt read them.
 *
 * Without rights to renew the system's, lists of one's own lie in the cache folder.
 *
 * @returns {string[]}
 */
export function freshLists() {
  if (isFresh(SYSTEM_LISTS)) return [];
  if (isRoot) {
    update([], SYSTEM_LISTS);
    return [];
  }
  const own = join(cacheFolder(), "apt");
  const options = ["-o", `Dir::State::lists=${own}/lists`, "-o", `Dir::Cache=${own}/cache`];
  // Compressed, without translations and without apt's own cache of them: 10 MB instead of 160.
  options.push("-o", "Acquire::GzipIndexes=true", "-o", "Acquire::Languages=none");
  options.push("-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=");
  mkdirSync(join(own, "lists", "partial"), { recursive: true });
  mkdirSync(join(own, "cache", "archives", "partial"), { recursive: true });
  if (!isFresh(join(own, "lists"))) update(options, join(own, "lists"));
  return options;
}

/**
 * Of each group of alternatives the first package that this distribution offers.
 *
 * @param {readonly (readonly string[])[]} groups
 * @param {readonly string[]} lists options from {@link freshLists}
 * @returns {(string | undefined)[]} per group; undefined where it offers none
 */
export function offered(groups, lists) {
  const policy = run("apt-cache", [...lists, "policy", ...groups.flat()], 60);
  const names = [...policy.matchAll(/^(\S+):\n {2}Installed: .*\n {2}Candidate: (.*)$/gm)]
    .filter((match) => match[2] !== "(none)")
    .map((match) => match[1]);
  return groups.map((group) => group.find((name) => names.includes(name)));
}

/**
 * @param {readonly string[]} options
 * @param {string} folder where the lists lie
 */
function update(options, folder) {
  try {
    run("apt-get", ["update", "-q", "-o", "APT::Update::Error-Mode=any", ...NO_DOWNLOAD_HANGS, ...options], 180);
  } catch (error) {
    // One of several sources out of reach must not keep the others from serving; what they lack, the next step names.
    if (listsIn(folder).length === 0) throw error;
  }
}

/** @param {string} folder */
function isFresh(folder) {
  if (listsIn(folder).length === 0) return false;
  // apt keeps the server's date on the lists themselves; when they were last looked for is the folders'.
  const looked = [folder, join(folder, "partial")].map(
    (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0,
  );
  return Date.now() - Math.max(...looked) < DAY_MS;
}

/** @param {string} folder */
function listsIn(folder) {
  try {
    return readdirSync(folder).filter((name) => /_Packages(\.\w+)?$/.test(name));
  } catch {
    return [];
  }
}

/**
 * @param {readonly string[]} packages
 * @param {string} folder
 * @param {readonly string[]} lists
 */
function download(packages, folder, lists) {
  // apt would download as the user _apt, who may not write here, and say so.
  const user = isRoot ? ["-o", "APT::Sandbox::User=root"] : [];
  run("apt-get", ["download", "-q", ...user, ...NO_DOWNLOAD_HANGS, ...lists, ...packages], 600, folder);
}

/**
 * @param {string} name package
 * @param {string} scratch folder with its .deb
 * @returns {string} the folder it was unpacked into
 */
function unpack(name, scratch) {
  const deb = readdirSync(scratch).find((file) => file.startsWith(`${name.split(":")[0]}_`) && file.endsWith(".deb"));
  if (deb === undefined) throw new AptError(`apt-get download brought no file for ${name}`);
  const folder = join(scratch, `${name}.d`);
  run("dpkg-deb", ["-x", join(scratch, deb), folder], 120);
  rmSync(join(folder, "usr", "share", "doc"), { recursive: true, force: true });
  return folder;
}

/**
 * Moves every file under `from` to the same place under `to`, replacing what is there.
 *
 * @param {string} from
 * @param {string} to
 */
function moveTree(from, to) {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const target = join(to, entry.name);
    if (entry.isDirectory()) moveTree(join(from, entry.name), target);
    else renameSync(join(from, entry.name), target);
  }
}

/**
 * Runs `work` with an empty folder on the cache folder's file system, which is gone afterwards.
 *
 * @param {(folder: string) => void} work
 */
function inScratch(work) {
  const cache = cacheFolder();
  mkdirSync(cache, { recursive: true });
  // Ctrl-C ends the process at once, so what an earlier one left is removed here; an hour spares one that still runs.
  for (const name of readdirSync(cache).filter((entry) => entry.startsWith("scratch-"))) {
    if (Date.now() - statSync(join(cache, name)).mtimeMs > DAY_MS / 24) rmSync(join(cache, name), { recursive: true });
  }
  const scratch = mkdtempSync(join(cache, "scratch-"));
  try {
    work(scratch);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/**
 * @param {string} program
 * @param {readonly string[]} args
 * @param {number} seconds limit
 * @param {string} [folder] working directory
 * @returns {string} its standard output
 */
function run(program, args, seconds, folder = "/") {
  const result = spawnSync(program, args, {
    cwd: folder,
    env: { ...process.env, ...QUIET_ENVIRONMENT },
    stdio: ["ignore", "pipe", "pipe"],
    encoding: "utf8",
    maxBuffer: 64 << 20,
    timeout: seconds * 1000,
  });
  if (result.status === 0) return result.stdout;
  if (result.signal === "SIGINT") process.exit(130);
  throw new AptError(failure(program, result, seconds));
}

/**
 * @param {string} program
 * @param {import("node:child_process").SpawnSyncReturns<string>} result
 * @param {number} seconds
 */
function failure(program, result, seconds) {
  if (result.error !== undefined && "code" in result.error && result.error.code === "ETIMEDOUT") {
    return `${program} took longer than ${seconds} s`;
  }
  const output = `${result.stdout ?? ""}\n${result.stderr ?? ""}`;
  if (/Temporary failure resolving|Could not resolve|Cannot initiate the connection|Could not connect/.test(output)) {
    return "no network";
  }
  const lines = output.split("\n").map((line) => line.trim());
  const reason = lines.filter((line) => /^(E:|dpkg.*error)/.test(line)).at(-1) ?? lines.filter(Boolean).at(-1);
  return `${program}: ${reason ?? result.error?.message ?? `exit status ${result.status}`}`;
}
