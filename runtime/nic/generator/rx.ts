/** Generated traffic as a receiving port: no disk, no network card, the same packets on every machine. */
import type { Arena } from "../../packet/arena.js";
import type { PortContext, Round, RxPort } from "../port.js";
import { type FrameStore, Player } from "../store.js";
import { NominalClock } from "./clock.js";
import type { GeneratorOptions } from "./options.js";
import { makeTraffic } from "./traffic.js";

/**
 * @param rounds how many times `count` packets; 0: for ever
 * @throws ConfigError for options that contradict each other
 */
export function openGenerator(options: GeneratorOptions, rounds: number, context: PortContext): RxPort {
  const store = makeTraffic(options, `port ${context.name}`, context.warn);
  const count = rounds === 0 ? Number.POSITIVE_INFINITY : options.count * rounds;
  return new GeneratorRx(store, count, { frames: options.count, anew: false }, options.pps, context.arena);
}

class GeneratorRx implements RxPort {
  private player: Player | undefined;
  private readonly clock: NominalClock;

  constructor(
    store: FrameStore,
    private left: number,
    readonly round: Round,
    pps: number,
    private readonly arena: Arena,
  ) {
    this.player = new Player(store, arena);
    this.clock = new NominalClock(pps);
  }

  get done(): boolean {
    return this.left === 0;
  }

  receive(slots: Uint32Array, count: number): number {
    const some = Math.min(count, this.left);
    if (some === 0) return 0;
    this.player!.play(slots, some);
    this.left -= some;
    this.clock.stamp(slots, some, this.arena.tsSec, this.arena.tsNsec);
    return some;
  }

  skip(count: number): number {
    const some = Math.min(count, this.left);
    if (some === 0) return 0;
    this.player!.skip(some);
    this.left -= some;
    this.clock.skip(some);
    return some;
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  async close(): Promise<void> {
    this.left = 0;
    this.player = undefined;
  }
}
