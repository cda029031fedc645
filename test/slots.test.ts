/** Slots of a run's arena by what its ports and its device want. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { LoadedChain } from "../runtime/chain/load.js";
import type { CounterLayout } from "../runtime/engine/counters.js";
import { leastSlots, slotsFor } from "../runtime/engine/device-plan.js";
import { LivePorts } from "../runtime/engine/live-ports.js";
import type { RxPort } from "../runtime/nic/port.js";
import { parsePortString } from "../runtime/nic/port-config.js";
import { SlotPool } from "../runtime/packet/pool.js";

/** A chain that receives from `inputs`; interfaces that are not there have one queue. */
function chainOf(...inputs: string[]): Pick<LoadedChain, "ports"> {
  const ports = inputs.map((text, i) => {
    return { name: `p${i}`, config: parsePortString(text), rx: true, tx: false, mtu: undefined };
  });
  return { ports: ports as unknown as LoadedChain["ports"] };
}

test("receive rings that are asked for are filled by a quarter of the slots", () => {
  const lines: string[] = [];
  const slots = (...inputs: string[]) => leastSlots(chainOf(...inputs), (line) => lines.push(line));
  assert.is(slots("in.pcap"), 4096);
  assert.is(slots("xdp:no-wire"), 16_384);
  assert.is(slots("packet:no-wire"), 16_384);
  assert.is(slots("xdp:no-wire,ring=4096"), 16_384);
  assert.is(slots("xdp:no-wire,ring=8192"), 32_768);
  assert.is(slots("xdp:no-wire,ring=16384"), 65_536);
  assert.is(slots("xdp:no-wire,ring=16384", "xdp:no-wire2,ring=16384"), 131_072);
  assert.is(slots("xdp:no-wire,ring=16384", "xdp:no-wire2"), 131_072, "with what another port has without a word");
  assert.is(slots("xdp:no-wire,ring=32768"), 131_072);
  assert.equal(lines, []);
  assert.is(slots("xdp:no-wire,ring=32768", "xdp:no-wire2,ring=64"), 131_072);
  assert.is(lines.length, 1);
  assert.match(lines[0]!, /rings of 32832 entries in all are filled with 32768 slots/);
});

test("a quarter of the slots fills rings of several ports as they need it", () => {
  const stocks = (slots: number, ...rings: number[]) => {
    const got = rings.map(() => 0);
    const ports = rings.map((stock, i) => {
      const live = {
        stock,
        descriptors: [],
        supply: (_: Uint32Array, count: number) => {
          got[i]! += count;
        },
      };
      return { port: i, rx: { done: false, live } as unknown as RxPort };
    });
    const none = new Float64Array(0);
    const pool = new SlotPool(0, slots);
    const live = new LivePorts(
      ports,
      pool,
      {} as CounterLayout,
      none,
      () => 0,
      () => assert.unreachable(),
    );
    live.stock();
    assert.is(live.stocked, slots - pool.available);
    return got;
  };
  assert.equal(stocks(65_536, 4096, 64, 0), [4096, 64, 0]);
  assert.equal(stocks(65_536, 16_384, 64, 0), [16_320, 64, 0]);
  assert.equal(stocks(65_536, 16_384, 64, 16_384), [8160, 64, 8160]);
  assert.equal(stocks(16_384, 8192, 8192), [2048, 2048]);
});

test("a device's rows and the ports' rings: the larger of the two", () => {
  const shape = { workgroups: 8, depth: 32, workgroupSize: 64 };
  assert.is(slotsFor(shape, leastSlots(chainOf("in.pcap"))), 32_768);
  assert.is(slotsFor(shape, leastSlots(chainOf("xdp:no-wire,ring=16384"))), 65_536);
  assert.is(slotsFor({ ...shape, depth: 1 }, leastSlots(chainOf("xdp:no-wire"))), 16_384);
});

test.run();
