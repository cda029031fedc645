// @ts-check
/** Which npm packages go into the bundle, and which of their files. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, posix } from "node:path";

/**
 * @typedef {object} LockedPackage an entry of package-lock.json
 * @property {Record<string, string>} [dependencies]
 * @property {Record<string, string>} [optionalDependencies]
 */

/** The test runner loads it; all else under devDependencies is for building. */
const FOR_TESTS = ["uvu"];

/**
 * Folders of the packages a run needs, and tests: what package.json's dependencies lead to.
 *
 * @param {string} root the project's folder
 * @returns {string[]} e.g. "node_modules/koffi", sorted
 * @throws Error where one that is not optional is not installed
 */
export function neededPackages(root) {
  /** @type {Record<string, LockedPackage>} */
  const locked = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  /** @type {Set<string>} */
  const found = new Set();
  /** @param {string} from folder of the package that depends @param {string} name @param {boolean} optional */
  const visit = (from, name, optional) => {
    const folder = resolve(locked, from, name);
    const there = folder !== undefined && statSync(join(root, folder), { throwIfNoEntry: false }) !== undefined;
    if (!there && optional) return;
    if (!there) throw new Error(`node_modules has no ${name}, which ${from || "package.json"} depends on`);
    if (found.has(folder)) return;
    found.add(folder);
    visitAll(folder, locked[folder]);
  };
  /** @param {string} folder @param {LockedPackage | undefined} entry */
  const visitAll = (folder, entry) => {
    const optional = entry?.optionalDependencies ?? {};
    for (const name of Object.keys(entry?.dependencies ?? {})) visit(folder, name, name in optional);
    for (const name of Object.keys(optional)) visit(folder, name, true);
  };
  visitAll("", locked[""]);
  for (const name of FOR_TESTS) visit("", name, false);
  return [...found].sort();
}

/**
 * Where Node finds `name` for a module in `from`: beside it, or further out.
 *
 * @param {Record<string, LockedPackage>} locked
 * @param {string} from
 * @param {string} name
 */
function resolve(locked, from, name) {
  for (let folder = from; ; folder = posix.dirname(folder).replace(/^\.$/, "")) {
    const candidate = posix.join(folder, "node_modules", name);
    if (posix.basename(folder) !== "node_modules" && candidate in locked) return candidate;
    if (folder === "") return undefined;
  }
}

/** A part of a path that names a platform or processor other than Linux on x86-64 with glibc. */
const OTHER_PLATFORM =
  /(?:^|[/._-])(?:darwin|win32|windows|macos|musl|arm|arm64|armhf|ia32|x86|riscv64|loong64|ppc64|s390x|android|freebsd|openbsd)(?=$|[/._-])/;
const BINARY = /\.(?:node|dll|dylib|exe|so|lib|a)$/;
const CODE = /\.(?:[cm]?js|json|wasm)$/;
const NOT_FOR_LINUX = /\.(?:dll|dylib|exe|lib)$/;
/** For compilers, editors and people: no program reads them. */
const NOT_FOR_A_RUN =
  /\.(?:map|d\.[cm]?ts|[cm]?ts|tsx|flow|tsbuildinfo|md|markdown|c|cc|cpp|h|hh|hpp|gyp|cmake|lock)$/i;
const LICENCE = /^(?:.*licen[cs]e.*|notice.*|copying.*|copyright.*|patents.*|thirdparty.*)$/i;
/** What single packages bring and nothing here loads, as their package.json resolves them for Node; paths from the package's folder. */
const NEVER_LOADED = {
  rxjs: /^(?:src|dist\/(?:bundles|esm5?|types))\//,
  zod: /^src\//,
  "csv-parse": /^dist\/(?:esm|iife|umd)\//,
  "hdr-histogram-js": /\.spec\.js$|^dist\/(?:bench\/|hdrhistogram\.umd)/,
  "gpu.js": /^dist\//,
  koffi: /^(?:vendor\/|doc\/|lib\/|cnoke\.cjs$)/,
  webgpu: /^build\//,
  vega: /^build\/(?!vega\.module\.js$)|^rollup/,
  "vega-lite": /^(?:bin\/|src\/|build\/(?!index\.js$))/,
  // Plots are set in DejaVu Sans, regular and bold.
  "dejavu-fonts-ttf": /^ttf\/(?!DejaVuSans(?:-Bold)?\.ttf$)|^(?:fontconfig\/|langcover|status|unicover|NEWS)/,
};
/** The packages that vega is made of bring their code a second time made small, programs of their own, and schemas. */
const PART_OF_VEGA = /^(?:vega-[a-z-]+|d3-[a-z-]+|topojson-client)$/;
const NOT_FOR_NODE = /\.min\.m?js$|^(?:src\/.*\.ts|rollup\.config\.js|bin\/.*|build\/.*-schema\.json)$/;

/**
 * Whether the bundle takes a file of a package.
 *
 * @param {string} name the package's
 * @param {string} path from the package's folder, with "/"
 */
export function isWanted(name, path) {
  // The licences and notices of another platform's binaries lie beside them, and stay with them.
  if (OTHER_PLATFORM.test(posix.dirname(path)) && !CODE.test(path)) return false;
  if (LICENCE.test(posix.basename(path))) return true;
  const never = /** @type {Record<string, RegExp>} */ (NEVER_LOADED)[name];
  if (never?.test(path) || (PART_OF_VEGA.test(name) && NOT_FOR_NODE.test(path))) return false;
  if (NOT_FOR_LINUX.test(path) || NOT_FOR_A_RUN.test(path)) return false;
  return !(BINARY.test(path) && OTHER_PLATFORM.test(path));
}

/**
 * The files under a folder, sorted, with "/"; packages of its own node_modules are not its files.
 *
 * @param {string} folder
 * @returns {string[]}
 */
export function filesUnder(folder, under = "") {
  return readdirSync(join(folder, under), { withFileTypes: true })
    .flatMap((entry) => {
      const path = posix.join(under, entry.name);
      if (entry.isDirectory()) return entry.name === "node_modules" ? [] : filesUnder(folder, path);
      return [path];
    })
    .sort();
}
