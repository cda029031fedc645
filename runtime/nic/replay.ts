/**
 * A capture played from memory, any number of times (`--loop`): it is read once, before the first frame, and not touched again, so
 * that what is measured is the chain and not the disk. Frames keep the timestamps of their records in every round.
 */
import { ConfigError } from "../errors.js";
import { Arena, SLOT_SHIFT } from "../packet/arena.js";
import type { PortContext, Round, RxPort } from "./port.js";
import { FrameStore, Player, storedBytes } from "./store.js";

/** Bytes of memory a replayed capture may take. */
export const REPLAY_LIMIT = 1024 * 1024 * 1024;
/** Slots of the arena the capture is loaded through. */
const LOAD_SLOTS = 256;

/**
 * Loads everything a port receives and replays it.
 * @param open opens the port to load, with the context given
 * @param rounds how often; 0: for ever
 * @throws ConfigError where the capture is unreadable, empty or longer than `limit`
 */
export async function openReplay(
  open: (context: PortContext) => Promise<RxPort>,
  what: string,
  rounds: number,
  context: PortContext,
  limit = REPLAY_LIMIT,
): Promise<RxPort> {
  const arena = Arena.create(LOAD_SLOTS);
  try {
    const port = await open({ ...context, arena, warn: (line) => context.warn(line) });
    try {
      return new ReplayRx(await load(port, arena, what, limit), rounds, context.arena);
    } finally {
      await port.close();
    }
  } finally {
    arena.free();
  }
}

async function load(port: RxPort, arena: Arena, what: string, limit: number): Promise<FrameStore> {
  const slots = Uint32Array.from({ length: LOAD_SLOTS }, (_, i) => i);
  const store = new FrameStore();
  let bytes = 0;
  while (!port.done) {
    const count = port.receive(slots, LOAD_SLOTS);
    if (count === 0 && !port.done) await port.ready();
    for (let slot = 0; slot < count; slot++) {
      const length = arena.len[slot]!;
      bytes += storedBytes(length);
      if (bytes > limit) {
        throw new ConfigError(
          what,
          `takes more than ${limit >> 20} MiB of memory, the limit for --loop (first ${store.frames} packets: ${limit >> 20} MiB)`,
          `run it without --loop, or loop over its beginning: editcap -r IN OUT 1-${store.frames}`,
        );
      }
      store.append(
        arena,
        (slot << SLOT_SHIFT) + arena.off[slot]!,
        length,
        arena.rxError[slot]!,
        arena.wireLen[slot]!,
        arena.tsSec[slot]!,
        arena.tsNsec[slot]!,
      );
    }
  }
  return store;
}

class ReplayRx implements RxPort {
  private player: Player | undefined;
  readonly round: Round | undefined;
  /** Frames still to come; Infinity for ever. */
  private left: number;

  constructor(store: FrameStore, rounds: number, arena: Arena) {
    this.left = store.frames === 0 ? 0 : rounds === 0 ? Number.POSITIVE_INFINITY : store.frames * rounds;
    this.player = store.frames === 0 ? undefined : new Player(store, arena);
    this.round = store.frames === 0 ? undefined : { frames: store.frames, anew: true };
  }

  get done(): boolean {
    return this.left === 0;
  }

  receive(slots: Uint32Array, count: number): number {
    const some = Math.min(count, this.left);
    if (some > 0) this.player?.play(slots, some);
    this.left -= some;
    return some;
  }

  skip(count: number): number {
    const some = Math.min(count, this.left);
    if (some > 0) this.player?.skip(some);
    this.left -= some;
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
