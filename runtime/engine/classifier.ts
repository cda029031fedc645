import { compileSelectors } from "../chain/selector.js";
import { ownCode } from "../native/own-code.js";
import { type Arena, FLAG } from "../packet/arena.js";
import type { Plan } from "./plan.js";

/** Writes type and first target of slots[0, count), which have passed the gate. */
type Direct = (slots: Uint32Array, count: number) => void;

/**
 * Finds the type of packets that passed the gate: the first selector that matches, `default`, or `non-ip`; and by the policy where fresh ones
 * go first.
 */
export class Classifier {
  private readonly firstMatch: (slot: number) => number;
  /** Made when it is asked for first, of threads that receive. */
  private loop: Direct | undefined;

  constructor(
    private readonly plan: Pick<Plan, "selectors" | "ports" | "nonIpType" | "policy" | "sources">,
    private readonly arena: Arena,
  ) {
    this.firstMatch = compileSelectors(
      plan.selectors,
      plan.ports.map((p) => p.name),
      arena,
    );
  }

  /** Fresh packets, portIn set: writes their type, and their target as `next`. */
  direct(slots: Uint32Array, count: number): void {
    this.loop ??= ownCode(makeDirect, this.arena, this.plan, this.firstMatch, IP);
    this.loop(slots, count);
  }

  /** Writes the type of one packet. */
  classify(slot: number): void {
    const { flags, type } = this.arena;
    type[slot] = (flags[slot]! & IP) === 0 ? this.plan.nonIpType : this.firstMatch(slot);
  }
}

const IP = FLAG.IPV4 | FLAG.IPV6;

/** See ownCode. `firstMatch` answers the number of selectors where none matches, which is the type `default`: it follows the user's. */
function makeDirect(
  arena: Pick<Arena, "flags" | "type" | "portIn" | "next">,
  plan: Pick<Plan, "selectors" | "nonIpType" | "policy" | "sources">,
  firstMatch: (slot: number) => number,
  ip: number,
): Direct {
  const { flags, type, portIn, next } = arena;
  const { nonIpType, policy, sources, selectors } = plan;
  const match = firstMatch;
  const IP = ip;
  const usual = selectors.length;
  const one = (slot: number) => {
    const kind = (flags[slot]! & IP) === 0 ? nonIpType : usual === 0 ? 0 : match(slot);
    type[slot] = kind;
    next[slot] = policy[kind * sources + portIn[slot]!]!;
  };
  return (slots, count) => {
    let i = 0;
    for (; i < count - 3; i += 4) {
      one(slots[i]!);
      one(slots[i + 1]!);
      one(slots[i + 2]!);
      one(slots[i + 3]!);
    }
    for (; i < count; i++) one(slots[i]!);
  };
}
