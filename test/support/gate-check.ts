/** Runs one frame through the fast gate and its reference and compares reason and all metadata. */
import { Arena, FLAG, NO_PORT } from "../../runtime/packet/arena.js";
import { GATE_REASONS, Gate } from "../../runtime/packet/gate.js";
import { type PlaceOptions, place } from "./frames.js";
import { gateReference, type Verdict } from "./gate-reference.js";
import type { Random } from "./random.js";

const OFFSETS = ["l3", "l3end", "l4", "payload", "payloadEnd"] as const;
const VALUES = ["proto", "sport", "dport", "vlan"] as const;

/** The one arena of a test file; slot 1 is used, its neighbours must stay as they are. */
const FLAG_BITS = [
  ["IPV4", FLAG.IPV4],
  ["IPV6", FLAG.IPV6],
  ["FRAGMENT", FLAG.FRAGMENT],
  ["LATER_FRAGMENT", FLAG.LATER_FRAGMENT],
  ["VLAN", FLAG.VLAN],
  ["L4", FLAG.L4],
] as const;

export class GateCheck {
  readonly arena = Arena.create(4);
  private readonly gates = [new Gate(this.arena), new Gate(this.arena, true)] as const;
  private readonly slots = Uint32Array.of(1);
  private readonly reasons = new Uint8Array(2);

  /** What the fast gate says about the frame, in the reference's terms: offsets from the first byte of the frame. */
  fast(frame: Uint8Array, verifyL4: boolean, options: PlaceOptions = {}): Verdict {
    const { arena, slots, reasons } = this;
    place(arena, 1, frame, options);
    reasons.fill(0xaa);
    const dropped = this.gates[verifyL4 ? 1 : 0].check(slots, 1, reasons);
    if (reasons[1] !== 0xaa) throw new Error("the gate wrote behind the count it was given");
    const reason = GATE_REASONS[reasons[0]!];
    if (dropped !== (reason === "" ? 0 : 1)) throw new Error(`the gate says ${dropped} dropped, reason "${reason}"`);
    if (reason === undefined) throw new Error(`the gate wrote ${reasons[0]}, which is no reason`);
    if (reason !== "") return { reason };
    if (arena.portOut[1] !== NO_PORT) throw new Error("portOut is not NO_PORT behind the gate");
    const start = arena.off[1]!;
    const out: { [key: string]: number } = {};
    for (const key of OFFSETS) out[key] = arena[key][1]! === 0 ? 0 : arena[key][1]! - start;
    for (const key of VALUES) out[key] = arena[key][1]!;
    const flags = FLAG_BITS.flatMap(([name, bit]) => (arena.flags[1]! & bit ? [name] : []));
    return { reason, ...out, flags } as unknown as Verdict;
  }

  /** Fills the slot and its metadata with noise first, so that whatever the gate leaves unwritten, or reads behind the frame, shows. */
  compare(frame: Uint8Array, r: Random, verifyL4: boolean, options: PlaceOptions = {}): Verdict {
    const { arena } = this;
    const noise = r.u32();
    arena.u32.fill(noise, 512, 1024);
    for (const key of [...OFFSETS, ...VALUES, "flags", "portOut"] as const) arena[key][1] = noise >>> r.int(0, 16);
    const truncated = (options.wireLen ?? 0) > frame.length;
    const expected = gateReference(frame, { verifyL4, truncated });
    const actual = this.fast(frame, verifyL4, options);
    const [a, e] = [JSON.stringify(sorted(actual)), JSON.stringify(sorted(expected))];
    if (a !== e) {
      const hex = Buffer.from(frame).toString("hex");
      throw new Error(`seed ${r.seed}, verifyL4 ${verifyL4}: gate says\n${a}\nreference says\n${e}\nframe ${hex}`);
    }
    return expected;
  }
}

const sorted = (value: object) => Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
