/** What the generator tests share. */
import * as assert from "uvu/assert";
import { openRx } from "../runtime/nic/drivers.js";
import type { GeneratorInput } from "../runtime/nic/generator/options.js";
import { parsePort } from "../runtime/nic/port-config.js";
import { FLAG, SLOT_SHIFT } from "../runtime/packet/arena.js";
import { Gate } from "../runtime/packet/gate.js";
import { arena, context, read, SLOTS } from "./ports-util.js";

export const config = (options: GeneratorInput) => parsePort({ driver: "generator", ...options }, "test");
export const frames = (options: GeneratorInput, loop?: number, warnings: string[] = []) =>
  read(config(options), warnings, { loop });

/** What the gate says of every frame: all must pass with right checksums. */
export interface Parsed {
  flow: string;
  flags: number;
  proto: number;
  payload: Buffer;
  frame: Buffer;
  vlan: number;
}

export async function gated(options: GeneratorInput, warnings: string[] = []): Promise<Parsed[]> {
  const port = await openRx(config(options), context(warnings));
  const gate = new Gate(arena, true);
  const slots = Uint32Array.from({ length: SLOTS }, (_, i) => i);
  const reasons = new Uint8Array(SLOTS);
  const parsed: Parsed[] = [];
  while (!port.done) {
    const count = port.receive(slots, SLOTS);
    assert.is(gate.check(slots, count, reasons), 0, `dropped: ${reasons}`);
    for (let slot = 0; slot < count; slot++) {
      const base = slot << SLOT_SHIFT;
      const bytes = (from: number, to: number) => Buffer.from(arena.u8.slice(base + from, base + to));
      const off = arena.off[slot]!;
      const l3 = arena.l3[slot]!;
      const v6 = (arena.flags[slot]! & FLAG.IPV6) !== 0;
      const addresses = v6 ? bytes(l3 + 8, l3 + 40) : bytes(l3 + 12, l3 + 20);
      parsed.push({
        flow: `${arena.proto[slot]} ${addresses.toString("hex")} ${arena.sport[slot]} ${arena.dport[slot]}`,
        flags: arena.flags[slot]!,
        proto: arena.proto[slot]!,
        payload: bytes(arena.payload[slot]!, arena.payloadEnd[slot]!),
        frame: bytes(off, off + arena.len[slot]!),
        vlan: arena.vlan[slot]!,
      });
      assert.is(arena.l3end[slot], off + arena.len[slot]!, "the IP packet fills the frame");
    }
  }
  await port.close();
  return parsed;
}

export const distinct = (list: readonly unknown[]) => new Set(list).size;
