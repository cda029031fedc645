/** Slots of a run's arena by what its ports and its device want. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { LoadedChain } from "../runtime/chain/load.js";
import { leastSlots, slotsFor } from "../runtime/engine/device-plan.js";
import { parsePortString } from "../runtime/nic/port-config.js";

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
  assert.is(slots("xdp:no-wire,ring=32768"), 131_072);
  assert.equal(lines, []);
  assert.is(slots("xdp:no-wire,ring=32768", "xdp:no-wire2,ring=64"), 131_072);
  assert.is(lines.length, 1);
  assert.match(lines[0]!, /rings of 32832 entries in all are filled with 32768 slots/);
});

test("a device's rows and the ports' rings: the larger of the two", () => {
  const shape = { workgroups: 8, depth: 32, workgroupSize: 64 };
  assert.is(slotsFor(shape, leastSlots(chainOf("in.pcap"))), 32_768);
  assert.is(slotsFor(shape, leastSlots(chainOf("xdp:no-wire,ring=16384"))), 65_536);
  assert.is(slotsFor({ ...shape, depth: 1 }, leastSlots(chainOf("xdp:no-wire"))), 16_384);
});

test.run();
