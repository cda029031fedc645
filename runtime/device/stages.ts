/**
 * In which order kernels come to the packets of a round that go on from NF to NF: each kernel is a dispatch of its own (kernels/forward.wgsl), which
 * serves whatever packets are on their way to an NF of it at that moment, however many hops they have made.
 */
import { type Forwarding, OUTCOMES } from "./forward.js";

export class Stages {
  /** By NF: those directly behind it. */
  private readonly behind: readonly (readonly number[])[];
  private readonly orders = new Map<string, readonly number[]>();

  /** @param programOf ROW.PROGRAM by NF */
  constructor(
    private readonly forwarding: Forwarding,
    private readonly programOf: readonly number[],
  ) {
    const { types, next } = forwarding;
    const nfs = programOf.length;
    this.behind = programOf.map((_, nf) => {
      const found = new Set<number>();
      for (let type = 0; type < types; type++) {
        const first = (type * nfs + nf) * OUTCOMES;
        for (const number of next.subarray(first, first + OUTCOMES)) if (number !== 0) found.add(number - 1);
      }
      return [...found];
    });
  }

  /** NFs with this program from which packets may go on. */
  private sources(program: number): number[] {
    return [...this.programOf.keys()].filter((nf) => this.programOf[nf] === program && this.forwarding.reads[nf] !== 0);
  }

  /** Whether packets may go on from rows of this program. */
  goesOn(program: number): boolean {
    return this.sources(program).length > 0;
  }

  /** Whether packets may go on from NFs of this program, or to them. */
  concerns(program: number): boolean {
    return this.goesOn(program) || this.targets.includes(program);
  }

  /** Programs that packets can come to by hops, ascending. */
  get targets(): readonly number[] {
    return [...new Set(this.behind.flat().map((nf) => this.programOf[nf]!))].sort((a, b) => a - b);
  }

  /** Programs of the NFs that packets can go on to from `program`: not the next alone, since some need no kernel. */
  beyond(program: number): readonly number[] {
    const from = [...this.programOf.keys()].filter((nf) => this.programOf[nf] === program);
    return [...new Set([...this.closure(from)].map((nf) => this.programOf[nf]!))];
  }

  /** All NFs behind these, however far. */
  private closure(nfs: readonly number[]): Set<number> {
    const found = new Set<number>();
    const look = [...nfs];
    for (let nf = look.pop(); nf !== undefined; nf = look.pop()) {
      for (const one of this.behind[nf]!) {
        if (found.has(one)) continue;
        found.add(one);
        look.push(one);
      }
    }
    return found;
  }

  /**
   * Programs of the dispatches behind those that serve the rows themselves.
   * @param programs of rows from which packets may go on
   */
  order(programs: readonly number[]): readonly number[] {
    const key = programs.join();
    let order = this.orders.get(key);
    if (order === undefined) {
      order = this.makeOrder(programs);
      this.orders.set(key, order);
    }
    return order;
  }

  /** Where packets can be, NF and hops made, is followed until all have ended: none is left on its way. */
  private makeOrder(programs: readonly number[]): number[] {
    const { behind, programOf, forwarding } = this;
    const nfs = programOf.length;
    const order: number[] = [];
    /** hops * nfs + nf, of packets on their way to that NF, their hops with this one. */
    const waiting = new Set<number>();
    const leave = (nf: number, hops: number) => {
      if (hops < forwarding.hops) for (const to of behind[nf]!) waiting.add((hops + 1) * nfs + to);
    };
    for (const program of programs) for (const nf of this.sources(program)) leave(nf, 0);
    while (waiting.size > 0) {
      const program = this.pick([...waiting].map((state) => state % nfs));
      order.push(program);
      const served = [...waiting].filter((state) => programOf[state % nfs] === program);
      for (const state of served) waiting.delete(state);
      // After all have gone: a packet that comes to an NF of this program again waits for another dispatch.
      for (const state of served) leave(state % nfs, Math.floor(state / nfs));
    }
    return order;
  }

  /** A program that no other of those can still send packets to, so that one dispatch does for all; where they go round, the first. */
  private pick(nfs: readonly number[]): number {
    const programs = [...new Set(nfs.map((nf) => this.programOf[nf]!))];
    const last = (program: number) => {
      const others = nfs.filter((nf) => this.programOf[nf] !== program);
      return [...this.closure(others)].every((nf) => this.programOf[nf] !== program);
    };
    return programs.find(last) ?? programs[0]!;
  }
}
