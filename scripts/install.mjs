// @ts-check
/**
 * Brings what wingbeat wants from the operating system: the whole of `wingbeat doctor --install`, and a step of every set-up.
 *
 * What is there is found by looking, so nothing is done twice; a failure is remembered for some hours, so that a machine
 * without network does not wait for it at every start.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  AptError,
  fetchSwiftShader,
  freshLists,
  hasApt,
  installAsRoot,
  isRoot,
  offered,
  unpackWithoutRights,
} from "./apt.mjs";
import { cacheFolder, findSwiftShader, missing, PROGRAM } from "./system.mjs";

/**
 * @typedef {import("./system.mjs").Purpose} Purpose
 * @typedef {object} Lack
 * @property {string} name
 * @property {string} without what happens without it
 * @property {string} reason why it could not be brought
 * @property {string[]} packages what would bring it
 * @typedef {object} Installed
 * @property {Lack[]} lacks what is still missing; empty when all is there
 * @property {string} [command] the one command that would add the rest
 */

const RETRY_HOURS = 6;
/** Reasons that no command of ours lifts. */
const NO_APT = "this is no Debian-like system";
const NOT_OFFERED = "this distribution does not offer it";

const SWIFTSHADER = {
  name: "SwiftShader",
  without: "no Vulkan device is emulated on the CPU",
  packages: /** @type {string[]} */ ([]),
};

/**
 * Installs what is missing. Never asks, never throws for what cannot be had.
 *
 * @param {object} options
 * @param {Purpose} options.purpose "test" brings what only tests need, too
 * @param {boolean} options.force tries again what failed lately
 * @param {(line: string) => void} options.say takes one line of progress
 * @returns {Installed}
 */
export function installSystem({ purpose, force, say }) {
  const lacks = stillMissing(purpose);
  if (lacks.length === 0) return { lacks: [] };
  const known = force ? {} : recentFailures();
  const reasons = lacks.every((lack) => lack.name in known) ? known : bring(purpose, say);
  const left = stillMissing(purpose).map((lack) => ({ ...lack, reason: reasons[lack.name] ?? "not tried" }));
  const curable = left.filter((lack) => lack.reason !== NO_APT && lack.reason !== NOT_OFFERED);
  return curable.length === 0 ? { lacks: left } : { lacks: left, command: commandFor(curable, purpose) };
}

/**
 * The lines that tell the user what could not be had and what would add it.
 *
 * @param {Installed} result
 * @returns {string[]}
 */
export function describe(result) {
  const lines = result.lacks.map((lack) => `${lack.name} is missing (${lack.reason}): ${lack.without}`);
  return result.command === undefined ? lines : [...lines, `to add what is missing: ${result.command}`];
}

/**
 * @param {Purpose} purpose
 * @param {(line: string) => void} say
 * @returns {Record<string, string>} why what is still missing is, by name
 */
function bring(purpose, say) {
  /** @type {Record<string, string>} */
  const reasons = {};
  const wanted = missing(purpose).filter((one) => {
    if (isRoot || one.installOnly === undefined) return true;
    reasons[one.name] = one.installOnly;
    return false;
  });
  const needsSwiftShader = findSwiftShader() === undefined;
  const names = [...wanted.map((one) => one.name), ...(needsSwiftShader ? [SWIFTSHADER.name] : [])];
  if (names.length === 0) {
    rememberFailures(reasons);
    return reasons;
  }
  /** @param {unknown} error @param {string[]} concerned */
  const note = (error, concerned) => {
    if (!(error instanceof Error)) throw error;
    for (const name of concerned) reasons[name] = error.message;
  };

  const started = Date.now();
  say(`fetching ${names.join(", ")} (once; some minutes on a slow line)`);
  try {
    if (!hasApt()) throw new AptError(NO_APT);
    const lists = freshLists();
    const groups = [...wanted.map((one) => one.packages), ["chromium-common"]];
    const chosen = offered(groups, lists);
    const swiftShader = chosen.pop();
    const packages = wanted.flatMap((one, index) => {
      const name = chosen[index];
      if (name === undefined) reasons[one.name] = NOT_OFFERED;
      return name === undefined ? [] : [name];
    });
    const concerned = wanted.filter((one) => !(one.name in reasons)).map((one) => one.name);
    try {
      if (packages.length > 0) isRoot ? installAsRoot(packages) : unpackWithoutRights(packages, lists);
    } catch (error) {
      note(error, concerned);
    }
    try {
      if (swiftShader === undefined) throw new AptError(NOT_OFFERED);
      if (needsSwiftShader) fetchSwiftShader(lists);
    } catch (error) {
      note(error, [SWIFTSHADER.name]);
    }
  } catch (error) {
    note(error, names);
  }
  for (const { name } of stillMissing(purpose)) reasons[name] ??= "its package was fetched, but does not have it";
  say(`fetched what could be had in ${((Date.now() - started) / 1000).toFixed(1)} s`);
  rememberFailures(reasons);
  return reasons;
}

/** @param {Purpose} purpose */
function stillMissing(purpose) {
  const lacks = missing(purpose).map(({ name, without, packages }) => ({ name, without, packages }));
  return findSwiftShader() === undefined ? [...lacks, SWIFTSHADER] : lacks;
}

/**
 * @param {readonly Lack[]} lacks
 * @param {Purpose} purpose
 * @returns {string}
 */
function commandFor(lacks, purpose) {
  const again = `${PROGRAM} doctor --install${purpose === "test" ? "=test" : ""}`;
  const packages = lacks.flatMap((lack) => lack.packages.slice(0, 1));
  if (isRoot || packages.length === 0) return again;
  const install = `sudo apt-get update && sudo apt-get install -y --no-install-recommends ${packages.join(" ")}`;
  return lacks.some((lack) => lack.name === SWIFTSHADER.name) ? `${install} && ${again}` : install;
}

function recordFile() {
  return join(cacheFolder(), "set-up-failures.json");
}

/** @returns {Record<string, string>} reasons by name, of the last hours */
function recentFailures() {
  try {
    const record = JSON.parse(readFileSync(recordFile(), "utf8"));
    return Date.now() - record.when < RETRY_HOURS * 3600 * 1000 ? record.reasons : {};
  } catch {
    return {};
  }
}

/** @param {Record<string, string>} reasons */
function rememberFailures(reasons) {
  try {
    mkdirSync(cacheFolder(), { recursive: true });
    // Renamed into place, so that two set-ups at once leave one whole record.
    const scratch = `${recordFile()}.${process.pid}`;
    writeFileSync(scratch, `${JSON.stringify({ when: Date.now(), reasons }, null, 2)}\n`);
    renameSync(scratch, recordFile());
  } catch {
    // A cache folder that cannot be written costs a second try next time, nothing else.
  }
}
