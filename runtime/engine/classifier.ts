import { compileSelectors } from "../chain/selector.js";
import { type Arena, FLAG } from "../packet/arena.js";
import type { Plan } from "./plan.js";

/** Writes `arena.type` of packets that passed the gate: the first selector that matches, `default`, or `non-ip`. */
export class Classifier {
  private readonly firstMatch: (slot: number) => number;
  private readonly trivial: boolean;

  constructor(
    private readonly plan: Pick<Plan, "selectors" | "ports" | "defaultType" | "nonIpType">,
    private readonly arena: Arena,
  ) {
    this.firstMatch = compileSelectors(
      plan.selectors,
      plan.ports.map((p) => p.name),
      arena,
    );
    this.trivial = plan.selectors.length === 0;
  }

  /** The type of one packet; `firstMatch` answers defaultType where no selector matches, because that type follows the user's. */
  classify(slots: Uint32Array, count: number): void {
    const { flags, type } = this.arena;
    const { nonIpType, defaultType } = this.plan;
    const { firstMatch, trivial } = this;
    const ip = FLAG.IPV4 | FLAG.IPV6;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      type[slot] = (flags[slot]! & ip) === 0 ? nonIpType : trivial ? defaultType : firstMatch(slot);
    }
  }
}
