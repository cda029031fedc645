// @ts-check
/**
 * What wingbeat wants from the operating system, and where on this machine it lies: the one list that the set-up, the
 * doctor and the network functions share. Plain Node, because the set-up runs before there is a node_modules; the
 * compiler checks it and copies it next to the compiled code.
 */
import { accessSync, closeSync, constants, existsSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { homedir } from "node:os";
import { basename, delimiter, dirname, isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * @typedef {"run" | "test"} Purpose what something is needed for
 * @typedef {object} Wanted something the system should have
 * @property {string} name what people call it
 * @property {Purpose} purpose
 * @property {string} use what it is for, for people who wonder whether they need it
 * @property {string} without what happens where it is missing
 * @property {string[]} packages Debian packages that bring it, best first; none on a processor it does not exist for
 * @property {string[]} [libraries] sonames, any of which will do
 * @property {string} [program] the program's name
 * @property {string} [file] absolute path of a file
 * @property {string} [installOnly] why it does not work when its packages are unpacked into the cache folder
 */

const intel = process.arch === "x64";

/** @type {readonly Wanted[]} */
export const WANTED = [
  {
    name: "intel-ipsec-mb",
    purpose: "run",
    use: "fast ESP encryption on the CPU",
    without: "the slower TypeScript cipher is used",
    packages: intel ? ["libipsec-mb1"] : [],
    libraries: ["libIPSec_MB.so.1"],
  },
  {
    name: "Hyperscan",
    purpose: "run",
    use: "fast multi-pattern search on the CPU",
    without: "Aho-Corasick in TypeScript is used",
    packages: intel ? ["libhyperscan5", "libvectorscan5"] : ["libvectorscan5"],
    libraries: ["libhs.so.5"],
  },
  {
    name: "OpenCL loader",
    purpose: "run",
    use: "network functions on OpenCL devices",
    without: "no OpenCL device can be used",
    packages: ["ocl-icd-libopencl1"],
    libraries: ["libOpenCL.so.1"],
  },
  {
    name: "PoCL",
    purpose: "run",
    use: "an OpenCL device emulated on the CPU, which proves correctness where there is no GPU",
    without: "only OpenCL devices with a driver of their own are there",
    packages: ["pocl-opencl-icd"],
    file: "/etc/OpenCL/vendors/pocl.icd",
    installOnly: "its linker works only where root installs it",
  },
  {
    name: "tshark",
    purpose: "test",
    use: "checks captures and ESP with somebody else's decoder",
    without: "those tests are skipped",
    packages: ["tshark"],
    program: "tshark",
  },
  {
    name: "tcpreplay",
    purpose: "test",
    use: "sends captures over a virtual wire",
    without: "those tests are skipped",
    packages: ["tcpreplay"],
    program: "tcpreplay",
  },
  {
    name: "iproute2",
    purpose: "test",
    use: "makes virtual wires in network namespaces",
    without: "those tests are skipped",
    packages: ["iproute2"],
    program: "ip",
  },
  {
    name: "ethtool",
    purpose: "test",
    use: "changes queues and offloads of virtual wires, and has hosts behind them make their checksums themselves",
    without: "those tests are skipped",
    packages: ["ethtool"],
    program: "ethtool",
  },
  {
    name: "ping",
    purpose: "test",
    use: "asks the host behind a gateway for an answer",
    without: "those tests are skipped",
    packages: ["iputils-ping"],
    program: "ping",
  },
  {
    name: "spin",
    purpose: "test",
    use: "checks the models of the protocols between CPU and GPU",
    without: "those tests are skipped",
    packages: ["spin"],
    program: "spin",
  },
  {
    name: "Chromium",
    purpose: "test",
    use: "opens reports as their readers do",
    without: "those tests are skipped",
    packages: ["chromium"],
    program: "chromium",
    installOnly: "its launcher looks for it where root installs it",
  },
];

/** SwiftShader, a Vulkan device emulated on the CPU, and the Vulkan loader that Chromium ships beside it. */
export const SWIFTSHADER_FILES = ["libvk_swiftshader.so", "vk_swiftshader_icd.json", "libvulkan.so.1"];

/** The file that makes a folder a bundle (`npm run bundle`): its README says what that is. */
export const BUNDLE_MARK = "bundle.json";

/** The bundle this file is part of, as BUNDLE/app/dist/scripts/system.mjs; undefined in a clone. */
const bundle = (() => {
  const folder = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");
  return existsSync(join(folder, BUNDLE_MARK)) ? folder : undefined;
})();

/** How users call the program: from the repository's folder, or in a bundle, where there is no npm. */
export const PROGRAM = bundle === undefined ? "npm run -s wingbeat --" : "./wingbeat";

/**
 * Where what was fetched without rights lies: SwiftShader's files, and unpacked Debian packages under `deb/`. A bundle has a
 * folder of its own for that, since it leaves nothing behind where it was unpacked.
 */
export function cacheFolder() {
  const base = process.env.XDG_CACHE_HOME;
  // The XDG base directory specification: a relative path is to be ignored.
  if (base !== undefined && isAbsolute(base)) return join(base, "wingbeat");
  return bundle === undefined ? join(homedir(), ".cache", "wingbeat") : join(bundle, "cache");
}

/** The libraries that came with a bundle: a Vulkan loader, and SwiftShader where it was asked for. None in a clone. */
function bundledLibraryFolders() {
  return bundle === undefined ? [] : [join(bundle, "lib")];
}

/** Root of the Debian packages unpacked in the cache folder. */
export function packagesFolder() {
  return join(cacheFolder(), "deb");
}

/**
 * Per processor Debian's name of it in library paths, and e_machine of the ELF files a process on it can load.
 *
 * @type {Record<string, {triplet: string, machine: number} | undefined>}
 */
const PROCESSORS = {
  x64: { triplet: "x86_64-linux-gnu", machine: 62 },
  arm64: { triplet: "aarch64-linux-gnu", machine: 183 },
};
const PROCESSOR = PROCESSORS[process.arch];
const TRIPLET = PROCESSOR?.triplet ?? `${process.arch}-linux-gnu`;

/** The folders unpacked packages keep libraries in. */
export function cachedLibraryFolders() {
  const lib = join(packagesFolder(), "usr", "lib");
  return [join(lib, TRIPLET), lib].filter((folder) => existsSync(folder));
}

/** The folders the system's loader searches: LD_LIBRARY_PATH, /etc/ld.so.conf with what it includes, the built-in ones. */
export function systemLibraryFolders() {
  const environment = (process.env.LD_LIBRARY_PATH ?? "").split(/[:;]/).filter(isAbsolute);
  const builtIn = [`/lib/${TRIPLET}`, `/usr/lib/${TRIPLET}`, "/lib64", "/usr/lib64", "/lib", "/usr/lib"];
  return [...new Set([...environment, ...loaderConfiguration("/etc/ld.so.conf"), ...builtIn])];
}

/**
 * The absolute path of the first of these libraries that this machine has, for koffi.load.
 *
 * The system's own come first, then the cache folder, where the set-up puts them when it may not install, then the
 * bundle's. A file of another architecture does not count.
 *
 * @param {readonly string[]} names sonames, e.g. ["libhs.so.5"]
 * @returns {string | undefined}
 */
export function findLibrary(names) {
  if (process.platform !== "linux") return undefined;
  const folders = [...systemLibraryFolders(), ...cachedLibraryFolders(), cacheFolder(), ...bundledLibraryFolders()];
  for (const name of names) {
    for (const folder of folders) {
      const path = join(folder, name);
      if (isLoadable(path)) return path;
    }
  }
  return undefined;
}

/**
 * The absolute path of a program: from PATH, then from the cache folder.
 *
 * @param {string} name
 * @returns {string | undefined}
 */
export function findProgram(name) {
  const system = (process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  // The sbin folders are not in an ordinary user's PATH, and hold programs he may run.
  for (const folder of [...system, "/usr/sbin", "/sbin", ...cachedProgramFolders()]) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not here: look on.
    }
  }
  return undefined;
}

/** The folders unpacked packages keep programs in. */
export function cachedProgramFolders() {
  const usr = join(packagesFolder(), "usr");
  return [join(usr, "bin"), join(usr, "sbin")].filter((folder) => existsSync(folder));
}

/**
 * Where a wanted thing lies, or undefined.
 *
 * @param {Wanted} wanted
 * @returns {string | undefined}
 */
export function locate(wanted) {
  if (wanted.libraries !== undefined) return findLibrary(wanted.libraries);
  if (wanted.program !== undefined) return findProgram(wanted.program);
  return wanted.file !== undefined && existsSync(wanted.file) ? wanted.file : undefined;
}

/**
 * What this machine lacks; "test" includes what a run needs.
 *
 * @param {Purpose} purpose
 */
export function missing(purpose) {
  return WANTED.filter(
    (wanted) =>
      (wanted.purpose === "run" || purpose === "test") && wanted.packages.length > 0 && locate(wanted) === undefined,
  );
}

/** The folder with SwiftShader's files, or undefined where one is missing. */
export function findSwiftShader() {
  const folders = [cacheFolder(), ...bundledLibraryFolders()];
  return folders.find((folder) => SWIFTSHADER_FILES.every((name) => existsSync(join(folder, name))));
}

/**
 * The environment in which child processes find what was unpacked in the cache folder; empty where nothing was.
 *
 * It has to be given to a child: a process cannot change its own loader's search path.
 *
 * @param {NodeJS.ProcessEnv} [base] the environment to add to
 * @returns {Record<string, string>}
 */
export function cacheEnvironment(base = process.env) {
  const libraries = cachedLibraryFolders();
  if (libraries.length === 0) return {};
  return {
    LD_LIBRARY_PATH: [base.LD_LIBRARY_PATH, ...libraries].filter(Boolean).join(":"),
    PATH: [base.PATH, ...cachedProgramFolders()].filter(Boolean).join(":"),
  };
}

/**
 * The folders of one ld.so.conf, in order. Includes are one level of glob in the last path component, as everywhere in use.
 *
 * @param {string} file
 * @param {number} [depth] guards against files that include each other
 * @returns {string[]}
 */
function loaderConfiguration(file, depth = 0) {
  let text;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return [];
  }
  return text.split("\n").flatMap((line) => {
    const entry = line.replace(/#.*/, "").trim();
    const include = /^include\s+(\S+)$/.exec(entry)?.[1];
    if (include === undefined) return isAbsolute(entry) ? [entry] : [];
    if (depth > 3) return [];
    const folder = isAbsolute(include) ? dirname(include) : join(dirname(file), dirname(include));
    const pattern = basename(include)
      .split("*")
      .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
    const matches = list(folder).filter((name) => new RegExp(`^${pattern.join(".*")}$`).test(name));
    return matches.flatMap((name) => loaderConfiguration(join(folder, name), depth + 1));
  });
}

/**
 * True for an ELF file of this process's architecture.
 *
 * @param {string} path
 */
function isLoadable(path) {
  let file;
  try {
    file = openSync(path, "r");
  } catch {
    return false;
  }
  try {
    const header = Buffer.alloc(20);
    const isElf = readSync(file, header, 0, 20, 0) === 20 && header.readUInt32BE(0) === 0x7f454c46;
    const is64BitLittleEndian = header[4] === 2 && header[5] === 1;
    return isElf && is64BitLittleEndian && (PROCESSOR === undefined || header.readUInt16LE(18) === PROCESSOR.machine);
  } catch {
    return false;
  } finally {
    closeSync(file);
  }
}

/**
 * A folder's names, sorted; none where it cannot be read.
 *
 * @param {string} folder
 */
function list(folder) {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}
