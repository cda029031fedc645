/** A WebGPU device that hands packets on, without the engine: what it says of their ways, by type and answer, and tables that are swapped. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Forwarding, OUTCOMES, PATH, READS } from "../runtime/device/forward.js";
import { PARAM_PLACE } from "../runtime/device/queue.js";
import { Syncer } from "../runtime/device/syncer.js";
import { Arena, FLAG, PARAM_WORDS, SLOT_SIZE } from "../runtime/packet/arena.js";
import { attachRegion } from "../runtime/packet/memory.js";
import { skipUnless } from "./skip.js";
import { openTestDevice } from "./support/device-load.js";
import { freshSeed, Random } from "./support/random.js";
import { deviceLack } from "./support/webgpu.js";

const seed = freshSeed();
const r = new Random(seed);
const lack = await deviceLack();

const SLOTS = 512;
/** NF 0 writes packets, and nothing goes on from it; packets of type 1 go from NF 1 to NF 2 and from there to NF 1. */
const NFS = [
  { program: "mark", writes: "packet", tables: Uint32Array.of(3, 0) },
  { program: "step", writes: "params", tables: Uint32Array.of(1000) },
  { program: "step", writes: "params", tables: Uint32Array.of(70_000) },
] as const;
const next = new Uint8Array(2 * NFS.length * OUTCOMES);
next[(NFS.length + 1) * OUTCOMES] = 3;
next[(NFS.length + 2) * OUTCOMES] = 2;
const FORWARDING: Forwarding = { types: 2, next, hops: 3, reads: [0, READS.HEADER, READS.HEADER], keeps: [0, 1, 1] };

test(`ways by type and answer, hop after hop, and with the table that is there (seed ${seed})`, async () => {
  if (skipUnless(lack === undefined, lack ?? "")) return;
  const options = { kind: "webgpu", nfs: NFS, slots: SLOTS, forwarding: FORWARDING, workgroupSize: 16 } as const;
  const device = await openTestDevice(options);
  try {
    await device.start();
    const { handle } = device;
    const arena = Arena.attach({ slots: SLOTS, region: device.arena, owned: false });
    const all = Array.from({ length: handle.shape.workgroups }, (_, workgroup) => workgroup);
    const syncer = new Syncer(handle, arena, all, new Float64Array(3), 0);
    const { region, hops } = handle.ahead!;
    const words = attachRegion(region).buffer;
    const paths = new Uint32Array(words, 0, SLOTS);
    const kept = new Uint32Array(words, 4 * SLOTS);
    const current = [...handle.nfs];
    const tables = NFS.map((nf) => nf.tables[0]!);
    for (let turn = 0; turn < 3; turn++) {
      const nfOf = new Uint8Array(SLOTS);
      for (let slot = 0; slot < SLOTS; slot++) {
        arena.u8.set(r.bytes(SLOT_SIZE), slot * SLOT_SIZE);
        nfOf[slot] = r.int(0, 2);
        // Two in three go on where they can, so that some go all the way: none of 512 would once in a hundred million.
        arena.type[slot] = r.pick([0, 1, 1]);
        arena.flags[slot] = r.pick([FLAG.IPV4 | FLAG.L4, FLAG.IPV4 | FLAG.L4, FLAG.IPV6, 0]);
        const l3 = r.int(200, 300);
        arena.l3[slot] = arena.flags[slot] === 0 ? 0 : l3;
        arena.l4[slot] = l3 + 4 * r.int(5, 15);
        arena.l3end[slot] = arena.l4[slot]! + r.int(0, 100);
        const at = slot * PARAM_WORDS;
        for (let i = 0; i < PARAM_WORDS; i++) arena.params[at + i] = r.u32();
        // NF 0's packets do not reach the header: what lies there stays.
        arena.params[at + PARAM_PLACE] = nfOf[slot] === 0 ? 1000 | (r.int(1, 50) << 16) : l3;
        paths[slot] = 0xdead_beef;
      }
      const before = arena.u8.slice(0, SLOTS * SLOT_SIZE);
      const asked = arena.params.slice();
      for (let slot = 0; slot < SLOTS; slot++) syncer.add(nfOf[slot]!, Uint32Array.of(slot), 0, 1);
      const out = new Uint32Array(SLOTS);
      for (let back = 0, now = 0; back < SLOTS; now += 1e6) {
        syncer.publish(now, true);
        back += syncer.collect(out);
        await new Promise((resolve) => setImmediate(resolve));
      }
      let longest = 0;
      for (let slot = 0; slot < SLOTS; slot++) {
        const about = `turn ${turn}, slot ${slot}, NF ${nfOf[slot]}, seed ${seed}`;
        if (nfOf[slot] === 0) {
          assert.is(paths[slot], 0xdead_beef, `nothing is said of it; ${about}`);
          continue;
        }
        let nf = nfOf[slot]!;
        let answer = (asked[slot * PARAM_WORDS + 1]! + tables[nf]!) >>> 0;
        assert.is(arena.params[slot * PARAM_WORDS], answer, about);
        let path = nf + 1;
        let hop = 0;
        for (; hop < hops && arena.type[slot] === 1 && arena.flags[slot] !== 0 && answer % 2 === 0; hop++) {
          nf = nf === 1 ? 2 : 1;
          const at = slot * SLOT_SIZE + (arena.l4[slot]! & ~3) - 4;
          answer = (arena.view.getUint32(at, true) + 1 + tables[nf]!) >>> 0;
          path |= (nf + 1) << (PATH.BITS * (hop + 1));
          assert.is(kept[slot * hops + hop], answer, `hop ${hop}; ${about}`);
        }
        assert.is(paths[slot], hop === 0 ? 0 : path, about);
        longest = Math.max(longest, hop);
        const from = slot * SLOT_SIZE;
        const same = Buffer.compare(arena.u8.subarray(from, from + SLOT_SIZE), before.subarray(from, from + SLOT_SIZE));
        assert.is(same, 0, `a packet nobody writes to has changed; ${about}`);
      }
      assert.is(longest, hops);
      // From here on hops meet the new table, also of rows that name another NF.
      const nf = r.int(1, 2);
      tables[nf] = r.u32() & ~1;
      const swapped = await device.swapTable(nf, Uint32Array.of(tables[nf]!));
      syncer.useTable(nf, swapped.table);
      device.freeTable(current[nf]!);
      current[nf] = swapped;
    }
    await device.stop();
  } finally {
    await device.close();
  }
});

test.run();
