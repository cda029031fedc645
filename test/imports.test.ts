/** What threads import: a run starts several, and what each loads without need is processor time before the first packet. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { nfTypes } from "../runtime/chain/modules.js";
import { ROOT } from "./chain-support.js";

const DIST = join(ROOT, "dist");

/** Packages that a compiled module and those it imports are given at once, each with a module that imports it. Imports by call do not count. */
function packagesOf(start: string): Map<string, string> {
  const packages = new Map<string, string>();
  const seen = new Set<string>();
  const waiting = [start];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (seen.has(file)) continue;
    seen.add(file);
    for (const [, from] of readFileSync(file, "utf8").matchAll(
      /^(?:(?:import|export)\b[^;"]*\bfrom|import) "([^"]+)"/gm,
    )) {
      if (from!.startsWith(".")) waiting.push(join(dirname(file), from!));
      else if (!from!.startsWith("node:")) packages.set(from!, relative(DIST, file));
    }
  }
  return packages;
}

const inFolder = (folder: string) =>
  readdirSync(join(DIST, folder))
    .filter((name) => name.endsWith(".js"))
    .map((name) => join(folder, name));

test("the schemas of the control plane and its parsers are not among it", () => {
  assert.ok(packagesOf(join(DIST, "runtime/cli/run.js")).has("zod"), "where it is imported, it is found");
  const ports = [
    "generator/rx",
    "null",
    "packet/mmsg-rx",
    "packet/ring-rx",
    "packet/tx",
    "pcap/rx",
    "pcap/tx",
    "replay",
  ];
  const files = [
    ...["runtime/engine/worker.js", "runtime/device/worker.js", "runtime/device/gpujs/program.js"],
    ...[...ports, "xdp/port", "xdp/shared-port", "host/port"].map((name) => `runtime/nic/${name}.js`),
    ...nfTypes().map((type) => `nfs/${type}/create.js`),
    ...inFolder("runtime/device/opencl"),
    ...inFolder("runtime/device/webgpu"),
  ];
  for (const file of files) {
    assert.ok(existsSync(join(DIST, file)), file);
    const packages = packagesOf(join(DIST, file));
    for (const name of ["zod", "csv-parse/sync", "commander"])
      assert.is(packages.get(name), undefined, `${file} comes to import ${name}`);
  }
});

test.run();
