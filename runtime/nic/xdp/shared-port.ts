/**
 * AF_XDP ports received from by one of the four patterns (shared-queue/): the first receiving thread opens the socket, the others come to
 * its rings by address. Also where the pattern is "default" and its stages are to be timed.
 */
import { RunError } from "../../errors.js";
import { mappedAt, recvfrom } from "../net/syscalls.js";
import type { HostAccess, LiveRx, LiveTx, PortContext, Receiver, RxPort, TxPort } from "../port.js";
import { RingMemory } from "../rings/ring-memory.js";
import type { QueueEnd, QueueShare } from "../shared-queue/end.js";
import { joinQueue, shareQueue } from "../shared-queue/queue.js";
import type { XdpPort } from "./port.js";
import type { RingHandle } from "./ring.js";
import type { XdpSocket } from "./socket.js";

const MSG_DONTWAIT = 0x40;

/** What {@link SharedXdpPort.share} says to the other threads where they share its queue. */
interface SharedQueue {
  readonly fd: number;
  /** Slots that each thread is to supply. */
  readonly stock: number;
  readonly rx: RingHandle;
  readonly fill: RingHandle;
  readonly queue: QueueShare;
}

const attach = (ring: RingHandle) => new RingMemory(mappedAt(ring).buffer, ring.layout);

function waker(fd: number): () => void {
  return () => {
    recvfrom(fd, null, 0, MSG_DONTWAIT, null, null);
  };
}

const SOLE: Receiver = { index: 0, count: 1, pattern: "default", share: undefined };

/** True where the port is one of those here, and not a plain {@link XdpPort}. */
export function isPatterned({ receiver, stages }: PortContext): boolean {
  return stages !== undefined || (receiver !== undefined && receiver.pattern !== "default");
}

/** The port of the thread that has opened the sockets. With a pattern other than "default" there is one socket. */
export class SharedXdpPort implements RxPort, TxPort {
  readonly done = false;
  readonly numbered: boolean;
  readonly share: SharedQueue | XdpPort["share"];
  readonly lent: XdpPort["lent"];
  readonly host: HostAccess | undefined;
  readonly live: LiveRx & LiveTx;
  private readonly ends: readonly QueueEnd[];
  /** End that is asked first. */
  private turn = 0;
  /** Fill rings have slots of all threads. */
  private fed = false;

  constructor(
    private readonly port: XdpPort,
    sockets: readonly XdpSocket[],
    ring: number,
    context: PortContext,
  ) {
    const { receiver = SOLE, arena, stages, name } = context;
    this.host = port.host;
    this.lent = port.lent;
    const shared = receiver.pattern !== "default";
    if (shared && sockets.length !== 1) {
      throw new RunError(`port ${name}`, `threads share one queue, and it has ${sockets.length}`, "name one: queue=N");
    }
    const threads = shared ? receiver.count : 1;
    const made = sockets.map((socket) => {
      const rx = socket.rx!;
      const { fill } = socket;
      const share = shareQueue(receiver.pattern, threads, arena.slots, rx, fill);
      const end = joinQueue({ share, rx, fill, arena, thread: 0, wake: waker(socket.fd) });
      end.stages = stages;
      return { share, end };
    });
    this.ends = made.map(({ end }) => end);
    this.numbered = shared;
    const stock = Math.floor(ring / threads);
    if (shared && threads > 1) {
      const [socket] = sockets;
      const { share: queue } = made[0]!;
      const own: SharedQueue = {
        fd: socket!.fd,
        stock,
        rx: socket!.rx!.handle,
        fill: socket!.fill.handle,
        queue,
      };
      this.share = own;
      context.warn(`port ${name}: ${threads} threads share its queue, pattern ${receiver.pattern}`);
    } else {
      this.share = port.share;
    }
    this.live = this.liveOf(stock);
  }

  private liveOf(stock: number): LiveRx & LiveTx {
    const { ends, port } = this;
    const { live } = port;
    return {
      descriptors: live.descriptors,
      stock: stock * ends.length,
      supply: (slots, count) => this.supply(slots, count),
      stop() {
        // First, so that nothing comes after all threads have stopped.
        live.stop();
        for (const end of ends) end.stop();
      },
      withdraw(slots) {
        for (const end of ends) {
          const count = end.withdraw(slots);
          if (count > 0) return count;
        }
        return 0;
      },
      get settled() {
        return live.settled !== false && ends.every((end) => end.settled);
      },
      update: () => live.update(),
      get imissed() {
        return live.imissed;
      },
      get ierrors() {
        return live.ierrors;
      },
      get oerrors() {
        return live.oerrors;
      },
      get oerrorBytes() {
        return live.oerrorBytes;
      },
    };
  }

  private supply(slots: Uint32Array, count: number): void {
    const { ends } = this;
    for (const [i, end] of ends.entries()) {
      const from = Math.floor((count * i) / ends.length);
      const to = Math.floor((count * (i + 1)) / ends.length);
      end.supply(slots.subarray(from, to), to - from);
    }
  }

  receive(slots: Uint32Array, count: number): number {
    const { ends } = this;
    if (!this.fed && ends.every((end) => end.open)) {
      this.fed = true;
      this.port.haveSlots();
    }
    for (let i = 0; i < ends.length; i++) {
      const end = ends[this.turn]!;
      this.turn = this.turn + 1 < ends.length ? this.turn + 1 : 0;
      const received = end.receive(slots, count);
      if (received > 0) return received;
    }
    return 0;
  }

  transmit(slots: Uint32Array, count: number): void {
    this.port.transmit(slots, count);
  }

  reclaim(slots: Uint32Array, force: boolean): number {
    return this.port.reclaim(slots, force);
  }

  ready(): Promise<void> {
    return this.port.ready();
  }

  flush(): void {
    this.port.flush();
  }

  /** To be called when the other threads have gone: their rings go with the sockets. */
  close(): Promise<void> {
    return this.port.close();
  }
}

/** The port of another receiving thread: it looks at the rings, and owns nothing. */
export class GuestXdpPort implements RxPort {
  readonly done = false;
  readonly numbered = true;
  readonly live: LiveRx;
  private readonly end: QueueEnd;

  constructor({ receiver, arena, stages }: PortContext) {
    const { fd, stock, rx, fill, queue } = receiver!.share as SharedQueue;
    const { index: thread } = receiver!;
    const end = joinQueue({ share: queue, rx: attach(rx), fill: attach(fill), arena, thread, wake: waker(fd) });
    end.stages = stages;
    this.end = end;
    this.live = {
      descriptors: [fd],
      stock,
      supply: (slots, count) => end.supply(slots, count),
      stop: () => end.stop(),
      withdraw: (slots) => end.withdraw(slots),
      get settled() {
        return end.settled;
      },
      // The first thread looks after the link and reads the kernel's counters, which are those of the socket.
      update() {},
      imissed: 0,
      ierrors: 0,
    };
  }

  receive(slots: Uint32Array, count: number): number {
    return this.end.receive(slots, count);
  }

  async ready(): Promise<void> {}

  async close(): Promise<void> {}
}
