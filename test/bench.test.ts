import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { SIZES, udpFrames, writeFrames } from "../bench/frames.js";
import { measure, renderTable, type Subject, spread } from "../bench/harness.js";
import { Peer, PeerSkipped } from "../bench/peer.js";
import { Arena, DATA_OFFSET, SLOT_SIZE } from "../runtime/packet/arena.js";
import { Gate } from "../runtime/packet/gate.js";

test("frame sets repeat with their seed, have the lengths they say and pass the gate", () => {
  const count = 480;
  const arena = Arena.create(count);
  const gate = new Gate(arena, true);
  const slots = Uint32Array.from({ length: count }, (_, i) => i);
  for (const size of SIZES) {
    const set = udpFrames({ size, count, seed: 7 });
    assert.equal(udpFrames({ size, count, seed: 7 }).frames, set.frames);
    assert.not.equal(udpFrames({ size, count, seed: 8 }).frames, set.frames);
    const lengths = new Map<number, number>();
    set.frames.forEach((frame, slot) => {
      lengths.set(frame.length, (lengths.get(frame.length) ?? 0) + 1);
      arena.u8.set(frame, slot * SLOT_SIZE + DATA_OFFSET);
      arena.off[slot] = DATA_OFFSET;
      arena.len[slot] = frame.length;
    });
    const expected: [number, number][] =
      size === "imix"
        ? [
            [64, 280],
            [570, 160],
            [1518, 40],
          ]
        : [[Number(size), count]];
    assert.equal(
      [...lengths].sort((a, b) => a[0] - b[0]),
      expected,
    );
    assert.is(gate.check(slots, count, new Uint8Array(count)), 0);
    assert.is(set.meanBytes, set.frames.reduce((sum, frame) => sum + frame.length, 0) / count);
  }
  arena.free();
});

test("the file of a frame set holds it", () => {
  const folder = mkdtempSync(join(tmpdir(), "wingbeat-bench-test-"));
  const set = udpFrames({ size: "imix", count: 50, seed: 1 });
  writeFrames(join(folder, "frames.bin"), set);
  const bytes = readFileSync(join(folder, "frames.bin"));
  let at = 4;
  assert.is(bytes.readUInt32LE(0), 50);
  for (const frame of set.frames) {
    assert.is(bytes.readUInt32LE(at), frame.length);
    assert.is(Buffer.compare(bytes.subarray(at + 4, at + 4 + frame.length), frame), 0);
    at += 4 + frame.length;
  }
  assert.is(at, bytes.length);
  rmSync(folder, { recursive: true });
});

test("subjects take turns; ratios are those of one turn, to the fastest peer", async () => {
  const order: string[] = [];
  const subject = (name: string, role: Subject["role"], samples: number[]): Subject => ({
    name,
    role,
    engine: "test",
    repeat: async () => {
      order.push(name);
      return samples.shift()!;
    },
    close: async () => {},
  });
  const warmUp = [9999, 9999];
  const rows = await measure(
    "router",
    udpFrames({ size: "64", count: 1, seed: 1 }),
    [
      subject("ours", "wingbeat", [...warmUp, 20, 40, 10]),
      subject("slow", "peer", [...warmUp, 50, 50, 50]),
      subject("fast", "peer", [...warmUp, 10, 40, 20]),
    ],
    3,
  );
  assert.equal(order, new Array(5).fill(["ours", "slow", "fast"]).flat());
  assert.equal(rows[0]!.ns_per_packet, { median: 20, min: 10, max: 40 });
  assert.equal(rows[0]!.mpps, { median: 50, min: 25, max: 100 });
  assert.is(rows[0]!.gbps, (64 * 8) / 20);
  assert.equal(rows[0]!.ratio_to_peer, { median: 1, min: 0.5, max: 2 });
  assert.is(rows[2]!.ratio_to_peer, null);
  assert.match(renderTable(rows), /router.*64 B.*ours.*50\.0.*25\.0\.\.100/);
});

test("the median of an even number of samples lies between the middle two", () => {
  assert.equal(spread([4, 1, 3, 2]), { median: 2.5, min: 1, max: 4 });
});

test("a peer that cannot be built says why and what to install", async () => {
  const peer = await Peer.open({ source: "router", pkgConfig: "no-such-library", packages: ["a-dev"] }, "frames.bin");
  assert.instance(peer, PeerSkipped);
  assert.match((peer as PeerSkipped).reason, /C peer router: pkg-config .*\(apt-get install a-dev\)/);
});

test.run();
