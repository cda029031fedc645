// @ts-check
/** Packs a bundle's folder, and says what weighs how much. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { filesUnder } from "./bundle-packages.mjs";

export const MIB = 2 ** 20;
/** 2000-01-01, UTC: some tar programs warn of earlier ones. */
const FILE_TIME = "@946684800";

/** What is wrong, and what mends it. */
export class BundleError extends Error {
  /** @param {string} problem @param {string} remedy */
  constructor(problem, remedy) {
    super(`${problem}\n  remedy: ${remedy}`);
  }
}

/**
 * The archive, smallest first of what this machine can write.
 *
 * @param {string} out
 * @param {string} name
 * @param {number} preset
 * @param {(line: string) => void} say
 * @returns {string} its path
 */
export function pack(out, name, preset, say) {
  const plain = join(out, `${name}.tar`);
  const same = ["--sort=name", `--mtime=${FILE_TIME}`, "--owner=0", "--group=0", "--numeric-owner", "--format=gnu"];
  // As in every umask: what is executable stays so.
  const tar = spawnSync("tar", [...same, "--mode=u=rwX,go=rX", "-cf", plain, name], { cwd: out, encoding: "utf8" });
  if (tar.error !== undefined || tar.status !== 0) {
    rmSync(plain, { force: true });
    const why = tar.error === undefined ? tar.stderr.trim() : "it is not installed";
    throw new BundleError(`tar cannot pack the bundle: ${why}`, "install GNU tar (apt-get install tar), and have room");
  }
  try {
    // Never one thread: xz then packs one block, and the archive would differ from that of a machine with more processors.
    const threads = Math.max(2, availableParallelism());
    const xz = spawnSync("xz", [`-${preset}`, `-T${threads}`, "--force", "--keep", plain], { encoding: "utf8" });
    if (xz.error === undefined && xz.status === 0) return `${plain}.xz`;
    const why = xz.error === undefined ? `xz failed (${xz.stderr.trim()})` : "xz is not installed";
    say(`warning: ${why}, so the archive is a .tar.gz and bigger; to make it smaller: apt-get install xz-utils`);
    const packed = gzipSync(readFileSync(plain), { level: 9 });
    writeFileSync(`${plain}.gz`, packed);
    return `${plain}.gz`;
  } finally {
    rmSync(plain, { force: true });
  }
}

/** @param {string} folder @returns {{part: string, bytes: number}[]} big ones one by one */
export function sizes(folder) {
  /** @type {Map<string, number>} */
  const parts = new Map();
  for (const path of filesUnderAll(folder)) {
    const [top = "", second, third] = path.split("/");
    const part = top !== "app" ? top : second === "node_modules" ? `${top}/${second}/${third}` : `${top}/${second}`;
    parts.set(part, (parts.get(part) ?? 0) + statSync(join(folder, path)).size);
  }
  const all = [...parts].map(([part, bytes]) => ({ part, bytes })).sort((a, b) => b.bytes - a.bytes);
  const small = all.filter(({ bytes }) => bytes < MIB / 10).reduce((sum, { bytes }) => sum + bytes, 0);
  return [...all.filter(({ bytes }) => bytes >= MIB / 10), { part: "all else", bytes: small }];
}

/** Files of a bundle, those of its packages too; links are not followed. @param {string} folder */
export function filesUnderAll(folder) {
  const app = join(folder, "app");
  const packages = join(app, "node_modules");
  const inPackages = existsSync(packages) ? filesUnder(packages).map((path) => `app/node_modules/${path}`) : [];
  return [...filesUnder(folder).filter((path) => !/^app\/(?:examples|out)$/.test(path)), ...inPackages].sort();
}

/** @param {number} bytes */
export function mebibytes(bytes) {
  return (bytes / MIB).toFixed(1);
}
