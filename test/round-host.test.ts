/** Rounds on the host's side, without a device: what is taken, told and counted. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { PackedRound } from "../runtime/device/packing.js";
import { DUMMY, HOST, lineAt, PARAM_PLACE, ROW, ROW_HEADER, rowAt, WG } from "../runtime/device/queue.js";
import { IN_FLIGHT, mostRows, Pace, RoundHost } from "../runtime/device/round-host.js";
import { Arena, PARAM_WORDS } from "../runtime/packet/arena.js";
import { attachRegion } from "../runtime/packet/memory.js";

const shape = { workgroups: 3, workgroupSize: 8, depth: 4 };
const nfs = [
  { program: 0, writes: "packet" },
  { program: 1, writes: "params" },
] as const;

test("a round takes all rows that are there, of all queues and NFs, and tells each queue when it has ended", () => {
  const options = { shape, nfs, programs: ["a", "b"], slots: 64, tableWords: 4, kernelFolders: [] };
  const host = new RoundHost(options);
  const words = new Int32Array(attachRegion(host.regions.queue).buffer);
  const { params } = Arena.attach({ slots: 64, region: host.regions.arena, owned: false });
  const rows = [0, 0, 0];
  let slot = 0;
  /** A row of one packet of 10 bytes. */
  const publish = (queue: number, program: number) => {
    const at = rowAt(shape, queue, rows[queue]!);
    words[at + ROW.PROGRAM] = program;
    words[at + ROW.COUNT] = 1;
    words.fill(DUMMY, at + ROW_HEADER, at + ROW_HEADER + shape.workgroupSize);
    words[at + ROW_HEADER] = slot;
    params[slot++ * PARAM_WORDS + PARAM_PLACE] = 14 | (10 << 16);
    rows[queue] = rows[queue]! + 1;
    words[lineAt(queue) + WG.CPU_INDEX] = rows[queue]!;
  };
  const done = () => [0, 1, 2].map((queue) => words[lineAt(queue) + WG.GPU_INDEX]);
  host.register();
  assert.not(host.pack());
  for (const [queue, program] of [
    [0, 0],
    [0, 1],
    [2, 1],
  ] as const) {
    publish(queue, program);
  }
  assert.ok(host.pack());
  host.started++;
  assert.equal([host.rounds[0]!.count, host.rounds[0]!.packets], [3, 3]);
  assert.not(host.pack(), "each row is taken once");
  publish(1, 0);
  assert.ok(host.pack());
  host.started++;
  assert.is(host.inFlight(), "2 rounds with 4 rows and 4 packets were in flight");
  assert.equal(done(), [0, 0, 0]);
  host.end();
  assert.equal(done(), [2, 0, 1]);
  host.end();
  assert.equal(done(), [2, 1, 1]);
  // There and back for NF 0, there for NF 1, and params both ways.
  assert.is(host.bytesCopied, 2 * 20 + 2 * 10 + 4 * 2 * 4 * PARAM_WORDS);
  assert.is(host.inFlight(), "0 rounds with 0 rows and 0 packets were in flight");
  assert.not(host.stopRaised);
  words[HOST.STOP] = 1;
  assert.ok(host.stopRaised);
  host.leave();
  assert.ok([0, 1, 2].every((queue) => words[lineAt(queue) + WG.LEFT] !== 0));
  host.free();
});

test("rows of one program lie side by side in a round, those that are written to first", () => {
  const arena = Arena.create(16);
  const round = new PackedRound(arena, shape, 8, Uint8Array.of(0, 1, 0, 0));
  const programs = [2, 0, 1, 2, 0, 1, 2];
  const words = ROW_HEADER + shape.workgroupSize;
  const queue = new Uint32Array(programs.length * words).fill(DUMMY);
  for (const [i, program] of programs.entries()) {
    queue[i * words + ROW.PROGRAM] = program;
    queue[i * words + ROW_HEADER] = i;
    arena.params[i * PARAM_WORDS + PARAM_PLACE] = 14 | (10 << 16);
  }
  const at = Uint32Array.from(programs, (_, i) => i * words);
  const pieces = () =>
    Array.from({ length: round.pieces }, (_, i) => [round.pieceProgram[i], round.pieceEnd[i]] as const);
  round.pack(queue, at, programs.length);
  assert.equal(pieces(), [
    [1, 2],
    [0, 4],
    [2, 7],
  ]);
  assert.is(round.writtenBytes, 2 * 10);
  round.pack(queue, at, 1);
  assert.equal(pieces(), [[2, 1]]);
  round.free();
  arena.free();
});

test("a round holds what the queues hold, but no more than 8,192 threads", () => {
  assert.is(mostRows(shape), 12);
  assert.is(mostRows({ workgroups: 8, workgroupSize: 64, depth: 64 }), 128);
  assert.is(mostRows({ workgroups: 1, workgroupSize: 1024, depth: 1 }), 1);
  assert.ok(IN_FLIGHT >= 2);
});

test("the thread looks at once while there is work, and sleeps longer the longer there is none", () => {
  const pace = new Pace();
  pace.busy(100);
  assert.is(pace.next(100.1, false), 0);
  const nap = pace.next(101, false);
  const sleep = pace.next(200, false);
  assert.ok(nap > 0 && sleep > nap);
  assert.is(pace.next(200, true), nap, "a round is under way");
});

test.run();
