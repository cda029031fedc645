// Compiles the project into dist/. dist/ is emptied first because TypeScript leaves the outputs of deleted sources behind,
// and the test runner would run them. `--if-changed`: only where dist/ is not up to date.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const stamp = join(root, "dist", ".built-from");
const sources = ["runtime", "nfs", "test", "bench", "scripts", "tsconfig.json", "package.json", "package-lock.json"];

/** True where dist/ was compiled from the sources as they are now. */
export function isBuilt() {
  try {
    return readFileSync(stamp, "utf8") === fingerprint();
  } catch {
    return false;
  }
}

/**
 * Compiles.
 *
 * @returns {boolean} false where there are errors; the compiler has printed them
 */
export function build() {
  const from = fingerprint();
  rmSync(join(root, "dist"), { recursive: true, force: true });
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  const result = spawnSync(process.execPath, [tsc, "-p", join(root, "tsconfig.json")], { stdio: "inherit" });
  if (result.status !== 0) return false;
  // Written last: an interrupted build has no stamp. Of before the build: a source saved during it counts as changed.
  writeFileSync(stamp, from);
  return true;
}

/** Changes with every source that is edited, added, removed or renamed. */
function fingerprint() {
  const hash = createHash("sha256");
  for (const source of sources) {
    for (const file of filesUnder(join(root, source)).sort()) {
      const { size, mtimeMs } = statSync(file);
      hash.update(`${file} ${size} ${mtimeMs}\n`);
    }
  }
  return hash.digest("hex");
}

/**
 * @param {string} path a file or folder; neither gives no files
 * @returns {string[]}
 */
function filesUnder(path) {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return [];
  if (!found.isDirectory()) return [path];
  return readdirSync(path).flatMap((name) => filesUnder(join(path, name)));
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const done = (argv.includes("--if-changed") && isBuilt()) || build();
  process.exit(done ? 0 : 1);
}
