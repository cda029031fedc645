// @ts-check
/**
 * `npm run bundle`: one folder, and an archive of it, with which wingbeat runs on a Linux x86-64 machine without network, Node and npm.
 *
 *   node scripts/bundle.mjs [--out FOLDER] [--with-swiftshader] [--preset 0-9] [--node-licence FILE]
 *
 * The same sources, packages and tools give the same archive, byte for byte: names are sorted, times and owners fixed.
 */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { isBuilt } from "./build.mjs";
import { BundleError, filesUnderAll, MIB, mebibytes, pack, sizes } from "./bundle-pack.mjs";
import { filesUnder, isWanted, neededPackages } from "./bundle-packages.mjs";
import { launcher, readme, VULKAN_NOTICE } from "./bundle-texts.mjs";
import { highestVersions, readElf } from "./elf.mjs";
import { BUNDLE_MARK, findLibrary, findSwiftShader, PROGRAM, SWIFTSHADER_FILES } from "./system.mjs";

/** What a bundle may weigh, packed: MiB. */
const LIMIT_MIB = 45;
const X86_64 = 62;
/** What every Linux with glibc and GCC's runtime libraries has; nothing else may be asked of the machine. */
const EXPECTED_LIBRARIES =
  /^(?:ld-linux-x86-64\.so\.2|lib(?:c|m|dl|rt|pthread)\.so\.\d+|libstdc\+\+\.so\.6|libgcc_s\.so\.1)$/;
/** Tests of what a bundle leaves out: the set-up, the sources' tools and the bundle itself. */
const TESTS_OF_THE_CLONE = ["bundle", "library-path", "model", "runner"];
/**
 * @typedef {object} Options
 * @property {string} root the project's folder
 * @property {string} out takes the folder and the archive
 * @property {boolean} withSwiftShader
 * @property {number} preset xz's: 9 packs smallest and takes longest
 * @property {string} [nodeLicence] Node's licence, where it does not lie where Node's packages put it
 * @property {(line: string) => void} say takes a line of progress or a warning
 *
 * @typedef {object} Bundle
 * @property {string} folder
 * @property {string} archive
 * @property {number} bytes the archive's
 * @property {{part: string, bytes: number}[]} parts unpacked
 */

/**
 * Makes the bundle.
 *
 * @param {Options} options
 * @returns {Bundle}
 * @throws BundleError
 */
export function makeBundle({ root, out, withSwiftShader, preset, nodeLicence, say }) {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new BundleError(
      `bundles are made for Linux on x86-64 only so far, and this is ${process.platform}-${process.arch}`,
      "run this on a Linux x86-64 machine",
    );
  }
  if (!isBuilt()) throw new BundleError("dist/ is not built from the sources as they are", "npm run build");
  const { version, license } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const name = `wingbeat-${version}-linux-x64`;
  const folder = join(out, name);
  // Only what this made before: the folder may hold other things.
  for (const old of [folder, `${folder}.tar.xz`, `${folder}.tar.gz`]) rmSync(old, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });

  const stripped = copyNode(join(folder, "bin", "node"), say);
  copy(findNodeLicence(nodeLicence), join(folder, "licences", "node.txt"));
  copyProject(root, folder);
  copyPackages(root, join(folder, "app"));
  const loader = copyVulkan(root, folder, withSwiftShader);

  const native = filesUnderAll(folder).flatMap((path) => needsOf(folder, path));
  const facts = { name, node: process.versions.node, stripped, swiftShader: withSwiftShader, loader, native };
  writeFileSync(join(folder, "README.md"), readme(facts));
  copy(join(root, "README.md"), join(folder, "README-wingbeat.md"));
  copy(join(root, "LICENSE"), join(folder, "LICENSE"));
  const mark = { name, version, license, node: process.versions.node, platform: "linux-x64", native };
  writeFileSync(join(folder, BUNDLE_MARK), `${JSON.stringify(mark, null, 2)}\n`);
  const main = "app/dist/runtime/cli/main.js";
  writeScript(join(folder, "wingbeat"), launcher(main));
  writeScript(join(folder, "test"), launcher("app/dist/test/run.js", { change: true, first: "--as-bundle" }));
  writeScript(join(folder, "bench"), launcher("app/dist/bench/main.js"));

  const archive = pack(out, name, preset, say);
  const bytes = statSync(archive).size;
  if (bytes > LIMIT_MIB * MIB) {
    const remedy = [
      ...(archive.endsWith(".gz") ? ["install xz (apt-get install xz-utils)"] : []),
      ...(stripped ? [] : ["install strip (apt-get install binutils)"]),
      ...(withSwiftShader ? ["leave --with-swiftshader out"] : []),
    ];
    throw new BundleError(
      `${archive} has ${mebibytes(bytes)} MiB, and ${LIMIT_MIB} is the most`,
      remedy.join(", or ") || "--preset 9, or look in the list above for what need not be in it",
    );
  }
  return { folder, archive, bytes, parts: sizes(folder) };
}

/**
 * This Node, without its symbols where strip is there.
 *
 * @param {string} to
 * @param {(line: string) => void} say
 * @returns {boolean} whether it is stripped
 */
function copyNode(to, say) {
  const node = realpathSync(process.execPath);
  const own = readElf(node)?.needed.find((library) => !EXPECTED_LIBRARIES.test(library));
  if (own !== undefined) {
    throw new BundleError(
      `${node} is linked to ${own}, which other machines do not have`,
      "run this with a Node from nodejs.org or NodeSource, which is one file",
    );
  }
  copy(node, to);
  chmodSync(to, 0o755);
  const { status, error } = spawnSync("strip", [to], { stdio: ["ignore", "inherit", "inherit"] });
  if (error === undefined && status === 0) return true;
  copy(node, to);
  const why = error === undefined ? `strip ended with exit code ${status}` : "strip is not installed";
  say(
    `warning: ${why}, so Node stays ${mebibytes(statSync(to).size)} MiB big; to make it smaller: apt-get install binutils`,
  );
  return false;
}

/** @param {string | undefined} given */
function findNodeLicence(given) {
  if (given !== undefined) {
    if (existsSync(given)) return given;
    throw new BundleError(`--node-licence: there is no ${given}`, "name the LICENSE file of this Node");
  }
  const prefix = dirname(dirname(realpathSync(process.execPath)));
  // The archive of nodejs.org and nvm; packages of NodeSource and Debian.
  const places = [
    join(prefix, "LICENSE"),
    ...["nodejs", "node"].map((one) => join(prefix, "share", "doc", one, "LICENSE")),
  ];
  const found = [...places, "/usr/share/doc/nodejs/copyright"].find(
    (path) => existsSync(path) && readFileSync(path, "utf8").includes("Node.js"),
  );
  if (found !== undefined) return found;
  throw new BundleError(
    `Node's licence has to go with it, and is not in ${places.join(", ")}`,
    `--node-licence FILE, e.g. https://raw.githubusercontent.com/nodejs/node/v${process.versions.node}/LICENSE`,
  );
}

/**
 * Compiled code, and the files it reads.
 *
 * @param {string} root
 * @param {string} folder
 */
function copyProject(root, folder) {
  const app = join(folder, "app");
  const isTestOfTheClone = new RegExp(`^test/(?:${TESTS_OF_THE_CLONE.join("|")})\\.test\\.js$`);
  for (const path of filesUnder(join(root, "dist"))) {
    if (/\.m?js$/.test(path) && !isTestOfTheClone.test(path)) copy(join(root, "dist", path), join(app, "dist", path));
  }
  for (const part of ["kernels", "test/kernels", "bench/kernels", "bench/peers"])
    copyFolder(join(root, part), join(app, part));
  copy(join(root, "package.json"), join(app, "package.json"));
  copyFolder(join(root, "examples"), join(folder, "examples"));
  // Chains write beside themselves (../out), and code looks for both folders beside dist/.
  mkdirSync(join(folder, "out"));
  for (const part of ["examples", "out"]) symlinkSync(join("..", part), join(app, part));
}

/**
 * @param {string} root
 * @param {string} app
 */
function copyPackages(root, app) {
  /** @type {string[]} */
  let packages;
  try {
    packages = neededPackages(root);
  } catch (error) {
    throw new BundleError(error instanceof Error ? error.message : String(error), "npm ci");
  }
  for (const path of packages) {
    const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
    for (const file of filesUnder(join(root, path))) {
      if (isWanted(name, file)) copy(join(root, path, file), join(app, path, file));
    }
  }
}

/**
 * @param {string} root
 * @param {string} folder
 * @param {boolean} withSwiftShader
 * @returns {string} what the loader is, for the README
 */
function copyVulkan(root, folder, withSwiftShader) {
  const lib = join(folder, "lib");
  const fetch = `${PROGRAM} doctor --install fetches it, with network, on Debian or Ubuntu`;
  const [, , loaderName = ""] = SWIFTSHADER_FILES;
  const swiftShader = findSwiftShader();
  if (withSwiftShader && swiftShader === undefined) throw new BundleError("SwiftShader is not there", fetch);
  // Beside SwiftShader first: that one is linked to glibc alone and the same on every machine the set-up ran on.
  const loader = swiftShader === undefined ? findLibrary([loaderName]) : join(swiftShader, loaderName);
  if (loader === undefined) throw new BundleError(`there is no Vulkan loader (${loaderName}) to put in`, fetch);
  copy(realpathSync(loader), join(lib, loaderName));
  if (swiftShader !== undefined && withSwiftShader) {
    for (const file of SWIFTSHADER_FILES) copy(realpathSync(join(swiftShader, file)), join(lib, file));
  }
  const apache = readFileSync(join(root, "node_modules", "rxjs", "LICENSE.txt"), "utf8");
  const end = apache.indexOf("APPENDIX:");
  writeFileSync(join(folder, "licences", "vulkan.txt"), VULKAN_NOTICE + (end < 0 ? apache : apache.slice(0, end)));
  return swiftShader === undefined
    ? "the Vulkan loader of the system this was made on"
    : "the Vulkan loader from Debian's chromium-common";
}

/**
 * What a native file needs of the system; nothing for other files.
 *
 * @param {string} folder
 * @param {string} path
 */
function needsOf(folder, path) {
  if (!/\.node$|\.so(?:\.\d+)*$|^bin\/node$/.test(path)) return [];
  const facts = readElf(join(folder, path));
  if (facts?.machine !== X86_64) {
    throw new BundleError(
      `${path} is not for x86-64 Linux, and would be dead weight`,
      "leave it out: scripts/bundle-packages.mjs",
    );
  }
  const odd = facts.needed.find((library) => !EXPECTED_LIBRARIES.test(library));
  if (odd !== undefined) {
    throw new BundleError(
      `${path} is linked to ${odd}, which other machines may lack`,
      "npm ci, or the set-up's own Vulkan loader",
    );
  }
  return [{ file: path, needed: facts.needed, versions: highestVersions(facts.versions) }];
}

/** @param {string} from @param {string} to */
function copyFolder(from, to) {
  for (const path of filesUnder(from)) copy(join(from, path), join(to, path));
}

/** @param {string} from @param {string} to */
function copy(from, to) {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
}

/** @param {string} path @param {string} text */
function writeScript(path, text) {
  writeFileSync(path, text);
  chmodSync(path, 0o755);
}

/** @param {string[]} args */
function main(args) {
  const root = join(dirname(fileURLToPath(import.meta.url)), "..");
  /** @param {string} line */
  const say = (line) => console.error(`bundle: ${line}`);
  let values;
  try {
    ({ values } = parseArgs({
      args,
      options: {
        out: { type: "string", default: join(root, "bundle") },
        "with-swiftshader": { type: "boolean", default: false },
        preset: { type: "string", default: "6" },
        "node-licence": { type: "string" },
      },
    }));
    if (!/^[0-9]$/.test(values.preset)) throw new Error(`--preset: found ${values.preset}, expected 0 to 9`);
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    return 2;
  }
  const nodeLicence = values["node-licence"];
  try {
    const { folder, archive, bytes, parts } = makeBundle({
      root,
      out: resolve(values.out),
      withSwiftShader: values["with-swiftshader"],
      preset: Number(values.preset),
      ...(nodeLicence === undefined ? {} : { nodeLicence }),
      say,
    });
    for (const part of parts) console.log(`${mebibytes(part.bytes).padStart(7)} MiB  ${part.part}`);
    console.log(
      `${mebibytes(parts.reduce((sum, part) => sum + part.bytes, 0)).padStart(7)} MiB  ${relative("", folder) || folder}`,
    );
    console.log(`${mebibytes(bytes).padStart(7)} MiB  ${relative("", archive)} (at most ${LIMIT_MIB})`);
    return 0;
  } catch (error) {
    if (!(error instanceof BundleError) && !(error instanceof Error && "code" in error)) throw error;
    say(error.message);
    return 1;
  }
}

if (argv[1] === fileURLToPath(import.meta.url)) process.exit(main(argv.slice(2)));
