/** Rounds on an OpenCL device, on request on any. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openCl } from "../runtime/device/opencl/library.js";
import { isPocl, listDevices, ranked } from "../runtime/device/opencl/platform.js";
import { roundsCases } from "./device-rounds-cases.js";
import { skipUnless } from "./skip.js";

const mode = "rounds";
roundsCases({ mode }, 24 << 20);

test("what the driver compiles at the first launch is compiled when the device has started: no packet waits for it", () => {
  const [best] = ranked(listDevices(openCl()));
  const reason =
    "PoCL is not the best device here, and only its cache shows when it compiles: try where there is no GPU";
  if (skipUnless(best !== undefined && isPocl(best.device), reason)) return;
  const cache = mkdtempSync(join(tmpdir(), "wingbeat-pocl-cache-"));
  try {
    const child = fileURLToPath(new URL("./support/device-child.js", import.meta.url));
    const env = { ...process.env, POCL_CACHE_DIR: cache };
    const { status, stderr } = spawnSync(process.execPath, [child, mode, "start"], { env, encoding: "utf8" });
    assert.is(status, 0, stderr);
    const files = readdirSync(cache, { recursive: true, encoding: "utf8" });
    assert.ok(
      files.some((file) => /rounds[^/]*\.so$/.test(file)),
      `only ${files.join(", ")}`,
    );
  } finally {
    rmSync(cache, { recursive: true });
  }
});

test.run();
