/**
 * Somebody else's decoder: tshark decrypts what this NF writes, finds every ICV good and the inner packets as they
 * were.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Bench, backends, freshSeed, Random, randomSa, udpFrame } from "./ipsec-support.js";

const found = spawnSync("tshark", ["--version"], { encoding: "utf8" });
const tshark = found.status === 0 ? found.stdout.split("\n")[0] : undefined;
if (tshark === undefined) console.log("skipped: tshark is not installed (apt-get install tshark)");

/** A capture file of Ethernet frames (pcap, microseconds, little-endian). */
function pcap(frames: readonly Uint8Array[]): Buffer {
  const head = Buffer.from("d4c3b2a1020004000000000000000000ffff000001000000", "hex");
  const records = frames.flatMap((frame, i) => {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(1_700_000_000 + i, 0);
    record.writeUInt32LE(frame.length, 8);
    record.writeUInt32LE(frame.length, 12);
    return [record, frame];
  });
  return Buffer.concat([head, ...records]);
}

for (const backend of tshark === undefined ? [] : backends) {
  for (const version of [4, 6] as const) {
    test(`${backend}: ${tshark}, IPv${version} inside`, () => {
      const seed = freshSeed();
      const random = new Random(seed);
      const sa = randomSa(random, { name: "a", direction: "out", spi: 0x1234 });
      const bench = new Bench([sa], backend);
      const frames = Array.from({ length: 100 }, (_, i) => udpFrame(random, { payload: 14 * i, version }));
      const sealed = bench.process(frames).map(({ frame }) => frame);
      bench.close();

      const folder = mkdtempSync(join(tmpdir(), "wingbeat-tshark-"));
      const file = join(folder, "esp.pcap");
      writeFileSync(file, pcap(sealed));
      const keys = [`"0x${sa.cipher_key}"`, '"HMAC-SHA-1-96 [RFC2404]"', `"0x${sa.auth_key}"`];
      const uat = ['"IPv4"', `"${sa.src}"`, `"${sa.dst}"`, '"0x1234"', '"AES-CBC [RFC3602]"', ...keys].join(",");
      const fields = ["frame.number", "esp.icv_good", "esp.icv_bad", "esp.sequence", "udp.srcport", "udp.payload"];
      const output = execFileSync(
        "tshark",
        [
          ...["-r", file, "-o", "esp.enable_encryption_decode:TRUE", "-o", "esp.enable_authentication_check:TRUE"],
          ...[
            "-o",
            `uat:esp_sa:${uat}`,
            "-T",
            "fields",
            "-E",
            "separator=;",
            ...fields.flatMap((name) => ["-e", name]),
          ],
        ],
        { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] },
      );
      rmSync(folder, { recursive: true });
      const lines = output.trim().split("\n");
      assert.is(lines.length, frames.length);
      let checked = 0;
      lines.forEach((line, i) => {
        const [number, good, bad, sequence, port, payload] = line.split(";");
        const udp = frames[i]!.subarray(version === 4 ? 34 : 54);
        assert.is(Number(number), i + 1);
        assert.is(Number(sequence), i + 1);
        assert.is(Number(port), udp.readUInt16BE(0), `TEST_SEED=${seed}, frame ${i}`);
        assert.is(payload, udp.subarray(8).toString("hex"), `TEST_SEED=${seed}, frame ${i}`);
        assert.is.not(bad, "1");
        assert.is.not(bad, "True");
        // A port tshark dissects as something else can leave the field empty: that frame is not checked, which is not
        // the same as good.
        if (good === "1" || good === "True") checked++;
      });
      assert.ok(checked >= 95, `tshark checked ${checked} of ${frames.length} ICVs`);
    });
  }
}

test("tshark, if there is one, was asked", () => {
  assert.is(typeof tshark, found.status === 0 ? "string" : "undefined");
});

test.run();
