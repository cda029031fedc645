/** The nids as the engine sees it: alerts file, statistics, real rules on a real capture. */

import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { nf } from "../nfs/nids/index.js";
import { Arena, DATA_OFFSET, SLOT_SHIFT } from "../runtime/packet/arena.js";
import { Gate } from "../runtime/packet/gate.js";
import { arenaWith, type FrameSpec } from "./nids-frames.js";
import { create, judgeAll, judgeByReference, loadRules } from "./nids-run.js";
import { skipUnless } from "./skip.js";

const DATA = process.env.WINGBEAT_DATA ?? "../shared/data";

function scratch(name: string): string {
  return path.join(fs.mkdtempSync(path.join(os.tmpdir(), "nids-")), name);
}

function lines(file: string): Record<string, unknown>[] {
  const text = fs.readFileSync(file, "utf8");
  assert.ok(text === "" || text.endsWith("\n"), "the last line is not whole");
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

test("EVE lines hold what happened", async () => {
  const alerts = scratch("eve.json");
  fs.writeFileSync(alerts, "from an earlier run\n");
  const { loaded } = await loadRules(
    [
      'alert tcp any any -> any any (msg:"say \\"hi\\" – \u00fc"; content:"hi"; classtype:misc; priority:2; gid:5; rev:6; sid:7;)',
      "drop icmp any any -> any any (sid:8;)",
      "alert ip any any -> any any (ttl:9; sid:9;)",
    ],
    { alerts },
  );
  assert.equal(nf.outputs!(nf.schema.parse({ rules: "a", alerts })), [alerts]);
  assert.is(fs.readFileSync(alerts, "utf8"), "from an earlier run\n", "load must leave the file alone");
  const v6 = (last: number) => [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
  const specs: FrameSpec[] = [
    { payload: "hi" },
    { proto: "icmp6", src: v6(1), dst: v6(2), sport: 128, dport: 0 },
    { proto: 50, ttl: 9 },
    { payload: "ho" },
  ];
  const arena = arenaWith(specs);
  const nids = create(loaded, arena);
  const verdicts = judgeAll(nids, arena, specs.length);
  assert.equal(
    verdicts.map((verdict) => verdict.outcome),
    ["alert", "drop", "alert", "clean"],
  );
  assert.is(fs.readFileSync(alerts, "utf8"), "");
  nids.flush!();
  assert.is(lines(alerts).length, 3);
  nids.close!();
  const common = { timestamp: "2023-11-14T22:13:20.123456+0000", event_type: "alert" };
  const alert = { action: "allowed", gid: 1, rev: 0, signature: "", category: "", severity: 3 };
  assert.equal(lines(alerts), [
    {
      ...common,
      src_ip: "10.0.0.1",
      src_port: 1025,
      dest_ip: "10.0.0.2",
      dest_port: 80,
      proto: "TCP",
      pcap_cnt: 1,
      alert: { ...alert, gid: 5, signature_id: 7, rev: 6, signature: 'say "hi" – ü', category: "misc", severity: 2 },
    },
    {
      ...common,
      src_ip: "2001:db8::1",
      src_port: 0,
      dest_ip: "2001:db8::2",
      dest_port: 0,
      proto: "IPv6-ICMP",
      icmp_type: 128,
      icmp_code: 0,
      pcap_cnt: 2,
      alert: { ...alert, action: "blocked", signature_id: 8 },
    },
    {
      ...common,
      src_ip: "10.0.0.1",
      src_port: 0,
      dest_ip: "10.0.0.2",
      dest_port: 0,
      proto: "ESP",
      pcap_cnt: 3,
      alert: { ...alert, signature_id: 9 },
    },
  ]);
  assert.equal(nids.stats!(), { rules: { loaded: 3, skipped: 0 }, alerts: 3 });
  assert.equal(nids.alerts!(), [
    [1, 7],
    [2, 8],
    [3, 9],
  ]);
  arena.free();
});

test("many alerts pass through the buffer whole and in order", async () => {
  const alerts = scratch("eve.json");
  const rules = Array.from(
    { length: 40 },
    (_, i) => `alert tcp any any -> any any (msg:"${"m".repeat(i)}"; sid:${i + 1};)`,
  );
  rules.push(`alert tcp any any -> any any (msg:"${"ü".repeat(40_000)}"; sid:99;)`);
  const { loaded } = await loadRules(rules, { alerts });
  const arena = arenaWith(Array.from({ length: 60 }, () => ({})));
  const nids = create(loaded, arena);
  judgeAll(nids, arena, 60);
  nids.close!();
  const seen = lines(alerts).map((line) => [line.pcap_cnt, (line.alert as { signature_id: number }).signature_id]);
  assert.equal(seen, nids.alerts!());
  assert.is(seen.length, 60 * 41);
  arena.free();
});

test("a full disk is a failed run that says what was lost", async () => {
  const { loaded } = await loadRules("alert tcp any any -> any any (sid:1;)", { alerts: "/dev/full" });
  const arena = arenaWith([{}, {}]);
  const nids = create(loaded, arena);
  judgeAll(nids, arena, 2);
  try {
    nids.close!();
    assert.unreachable();
  } catch (error) {
    assert.is((error as Error).name, "RunError");
    assert.match((error as Error).message, /\/dev\/full: 2 alerts could not be written: ENOSPC/);
  }
  arena.free();
});

test("frames that are not IP are clean, whatever lay in the slot before", async () => {
  const { loaded } = await loadRules([
    "alert ip any any -> any any (sid:1;)",
    'alert ip any any -> any any (content:"x"; sid:2;)',
  ]);
  const arena = arenaWith([{ payload: "x" }]);
  arena.u8[DATA_OFFSET + 13] = 0x06;
  new Gate(arena).check(new Uint32Array(1), 1, new Uint8Array(1));
  assert.equal(judgeAll(create(loaded, arena), arena, 1), [{ outcome: "clean", sids: [] }]);
  arena.free();
});

/** Frames of a little-endian microsecond pcap, through the gate; slots of the ones it passes come first. */
function readPcap(file: string): { arena: Arena; count: number } {
  const bytes = fs.readFileSync(file);
  assert.is(bytes.readUInt32LE(0), 0xa1b2c3d4);
  const frames: { at: number; length: number; seconds: number; micros: number; number: number }[] = [];
  for (let at = 24, number = 1; at + 16 <= bytes.length; number++) {
    const length = bytes.readUInt32LE(at + 8);
    const seconds = bytes.readUInt32LE(at);
    frames.push({ at: at + 16, length, seconds, micros: bytes.readUInt32LE(at + 4), number });
    at += 16 + length;
  }
  const arena = Arena.create(frames.length);
  const gate = new Gate(arena);
  const [slot, reason] = [new Uint32Array(1), new Uint8Array(1)];
  let count = 0;
  for (const { at, length, seconds, micros, number } of frames) {
    slot[0] = count;
    arena.u8.set(bytes.subarray(at, at + length), (count << SLOT_SHIFT) + DATA_OFFSET);
    arena.off[count] = DATA_OFFSET;
    arena.len[count] = length;
    arena.tsSec[count] = seconds;
    arena.tsNsec[count] = micros * 1000;
    arena.arrival[count] = number;
    if (gate.check(slot, 1, reason) === 0) count++;
  }
  return { arena, count };
}

function dataFile(name: string): string | null {
  const file = path.join(DATA, name);
  const missing = skipUnless(fs.existsSync(file), `${file} is not here: set WINGBEAT_DATA to the folder that holds it`);
  return missing ? null : file;
}

test("Emerging Threats web server rules: every rule is loaded or skipped by name", async () => {
  const rules = dataFile("rules/et_web_server.rules");
  if (rules === null) return;
  const { loaded, warnings } = await loadRules(rules);
  const written = fs
    .readFileSync(rules, "latin1")
    .split("\n")
    .filter((line) => line.startsWith("alert ")).length;
  assert.is(loaded.rules.length + loaded.skipped, written);
  assert.ok(loaded.rules.length > 20, `only ${loaded.rules.length} rules are loaded`);
  assert.ok(
    warnings.some((line) =>
      /rules skipped: option http_uri is not supported: .*et_web_server\.rules:47, 49, 53, 59, 61 and 174 more$/.test(
        line,
      ),
    ),
  );
  assert.ok(warnings.length < 40, `${warnings.length} warnings`);
  const first = await loadRules(rules, { on_unsupported: "error" }).catch((error: Error) => error);
  assert.match((first as Error).message, /et_web_server\.rules:47: option http_uri is not supported/);
});

test("real rules and rules of our own on an HTTP capture: as the reference", async () => {
  const rules = dataFile("rules/et_web_server.rules");
  const capture = dataFile("pcap/http-packets2.pcap");
  if (rules === null || capture === null) return;
  const { loaded } = await loadRules([
    rules,
    'alert tcp any any -> any 80 (msg:"GET"; flow:established,to_server; content:"GET "; startswith; content:"Host|3a 20|"; distance:0; sid:1;)',
    'alert tcp any 80 -> any any (msg:"404"; content:"HTTP/1."; depth:7; content:" 404 "; distance:1; within:5; sid:2;)',
    'alert tcp any any -> any any (msg:"gif"; pcre:"/^GET [^ ]*\\.gif/i"; sid:3;)',
    "alert tcp any any -> any any (flags:S; dsize:0; sid:4;)",
  ]);
  const { arena, count } = readPcap(capture);
  const nids = create(loaded, arena);
  const fast = judgeAll(nids, arena, count);
  assert.equal(fast, judgeByReference(loaded, arena, count));
  for (const sid of [1, 2, 4])
    assert.ok(
      fast.some((verdict) => verdict.sids.includes(sid)),
      `sid ${sid} never matched`,
    );
  nids.close!();
  arena.free();
});

test.run();
