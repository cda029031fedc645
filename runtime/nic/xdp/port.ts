/**
 * A network interface by AF_XDP: the kernel writes frames into slots of the arena and sends them from there.
 *
 * Slots change owner by ring. Fill ring: slots for the kernel to receive into; each frame taken from an RX ring puts a free slot into the
 * fill ring in its place, so that the port always owns as many as it was supplied. TX ring: slots to send; they come back by the
 * completion ring when the kernel has let go of them.
 *
 * Of several receiving threads each has sockets for its queues; the first has the program and its socket map, and promiscuous mode.
 * Another thread that sends by the port has a socket of its own at the first queue of the first of them (lent.ts).
 */
import { RunError } from "../../errors.js";
import { ownLoop } from "../../native/own-code.js";
import { SLOT_SHIFT } from "../../packet/arena.js";
import { takesTagsOut } from "../net/findings.js";
import { type NetInterface, promiscuous, requireInterface } from "../net/interface.js";
import { LinkWatch } from "../net/link-watch.js";
import { close, recvfrom } from "../net/syscalls.js";
import type { HostAccess, LiveRx, LiveTx, PortContext, RxPort, TxPort } from "../port.js";
import { type Exchange, makeExchange, SLOT } from "../rings/loops.js";
import { USUAL_RING } from "../rings/ring-memory.js";
import { WallClock } from "../rings/wall-clock.js";
import type { XdpConfig } from "./config.js";
import type { XdpLoan } from "./lent.js";
import { attachProgram, joinProgram, type ProgramShare, type XdpProgram } from "./program.js";
import { XdpSender } from "./sender.js";
import { isPatterned, SharedXdpPort } from "./shared-port.js";
import { openSocket, type SocketStatistics, type XdpSocket } from "./socket.js";

const MSG_DONTWAIT = 0x40;

/** What the first of several receiving threads has opened for all. */
export interface XdpShare {
  readonly driver: "xdp";
  readonly program: ProgramShare;
}

/** Opens an interface. @param use which of its directions the chain uses @throws RunError for what is missing, taken or refused */
export function openXdp(config: XdpConfig, context: PortContext, use: { rx: boolean; tx: boolean }): RxPort & TxPort {
  const where = `port ${context.name}`;
  const device = requireInterface(config.interface, where);
  const { receiver } = context;
  const queues = chooseQueues(config, device, use.rx, context);
  const share = receiver?.share as XdpShare | undefined;
  const open: { close(): void }[] = [];
  try {
    const first = use.rx && share === undefined;
    const membership = first && config.promiscuous !== false ? promiscuous(device, where) : undefined;
    if (membership !== undefined) open.push({ close: () => close(membership) });
    const mode = config.mode ?? "auto";
    let program: XdpProgram | undefined;
    if (share !== undefined) program = joinProgram(share.program, where);
    else if (use.rx) program = attachProgram(device, mode, context.hostThreads ?? 0, where, context.warn);
    if (program !== undefined) open.push(program);
    if (first && takesTagsOut(device.name)) {
      const remedy = `ethtool -K ${device.name} rxvlan off`;
      context.warn(`${where}: ${device.name} takes VLAN tags out of frames, which are without them here: ${remedy}`);
    }
    const ring = config.ring ?? USUAL_RING;
    const sockets = queues.map((queue, i) => {
      const copy = mode === "skb" || program?.mode === "skb";
      const lends = use.rx && context.lends === true && i === 0;
      const options = { rx: use.rx, tx: use.tx && i === 0, lends, ring, copy };
      const socket = openSocket(device, queue, context.arena, options, where);
      open.push(socket);
      return socket;
    });
    const port = new XdpPort(device, sockets, program, open, ring, context, use.rx && config.queue === undefined);
    const patterned = use.rx && isPatterned(context) ? new SharedXdpPort(port, sockets, ring, context) : undefined;
    port.bind();
    return patterned ?? port;
  } catch (error) {
    for (const one of open.reverse()) one.close();
    throw error;
  }
}

/** To receive, of several threads every so many-th queue; to send, one for each of them. */
function chooseQueues(config: XdpConfig, device: NetInterface, rx: boolean, context: PortContext): number[] {
  const { queue } = config;
  const { index, count } = context.receiver ?? { index: 0, count: 1 };
  const where = `port ${context.name}`;
  if (queue === undefined && !rx) return [index];
  if (queue === undefined) return Array.from({ length: device.queues }, (_, i) => i).filter((q) => q % count === index);
  if (queue >= device.queues) {
    const problem = `${device.name} has no queue ${queue}: it has ${device.queues}, from 0 on`;
    throw new RunError(where, problem, `see ethtool -l ${device.name}`);
  }
  return index === 0 ? [queue] : [];
}

export class XdpPort implements RxPort, TxPort {
  readonly done = false;
  readonly live: LiveRx & LiveTx;
  readonly share: XdpShare | undefined;
  readonly lent: XdpLoan | undefined;
  readonly host: HostAccess | undefined;
  /** By slot: 1 where the fill ring or the kernel has it to receive into. */
  private readonly filled: Uint8Array;
  /** By socket that receives. */
  private readonly exchanges: readonly Exchange[];
  private readonly clock = new WallClock();
  private readonly sender: XdpSender | undefined;
  private readonly watch: LinkWatch;
  /** Socket that is asked first. */
  private turn = 0;
  private announced = false;
  /** Fill rings have been filled for the first time. */
  private stocked = false;
  private closed = false;
  private readonly statistics: SocketStatistics = {
    rxDropped: 0,
    rxInvalid: 0,
    txInvalid: 0,
    rxRingFull: 0,
    fillEmpty: 0,
  };

  constructor(
    private readonly device: NetInterface,
    private readonly sockets: readonly XdpSocket[],
    private readonly program: XdpProgram | undefined,
    private readonly open: { close(): void }[],
    ring: number,
    private readonly context: PortContext,
    private readonly allQueues: boolean,
  ) {
    const { arena } = context;
    this.filled = new Uint8Array(arena.slots);
    this.share = program && { driver: "xdp", program: program.share };
    const { filled } = this;
    const { off, len, wireLen, rxError, tsSec, tsNsec } = arena;
    // Without arrival numbers: the engine gives them.
    const columns = { off, len, wireLen, rxError, tsSec, tsNsec };
    this.exchanges = sockets.flatMap(({ rx, fill }) =>
      rx === undefined ? [] : [ownLoop(makeExchange, rx, fill, filled, columns, SLOT)],
    );
    const [first] = sockets;
    if (context.lends && first !== undefined) {
      const { fd, queue, completion } = first;
      this.lent = { fd, index: device.index, queue, ring, completion: completion.handle };
    }
    this.sender = first?.tx === undefined ? undefined : new XdpSender(first, arena, () => this.bind());
    const detached = program && new Int32Array(program.share.detached);
    this.watch = new LinkWatch(device, context, allQueues);
    this.host = program?.host;
    const { statistics, sender } = this;
    this.live = {
      descriptors: program === undefined ? [] : sockets.map(({ fd }) => fd),
      stock: program === undefined ? 0 : sockets.length * ring,
      burst: Number.POSITIVE_INFINITY,
      supply: (slots, count) => this.supply(slots, count),
      stop: () => program?.detach(),
      withdraw: (slots) => this.withdraw(slots),
      // Of several threads the first takes the program off.
      get settled() {
        return detached === undefined || Atomics.load(detached, 0) === 1;
      },
      update: () => this.update(),
      get imissed() {
        return statistics.rxRingFull + Math.min(statistics.rxDropped, statistics.fillEmpty);
      },
      get ierrors() {
        return statistics.rxDropped - Math.min(statistics.rxDropped, statistics.fillEmpty) + statistics.rxInvalid;
      },
      get oerrors() {
        return sender?.errors ?? 0;
      },
      get oerrorBytes() {
        return sender?.errorBytes ?? 0;
      },
    };
  }

  /**
   * Binds what is not bound yet: an interface that is down cannot be. Packets come to a socket once it has slots for them; until then they
   * are the host's, as before the run.
   * @returns true where all of it is bound
   */
  bind(): boolean {
    const { sockets, program, stocked } = this;
    let all = true;
    for (const socket of sockets) {
      if (!socket.tryBind()) {
        all = false;
      } else if (program !== undefined && stocked && !socket.redirected) {
        program.redirect(socket.queue, socket.fd);
        socket.redirected = true;
      }
    }
    if (all && !this.announced && sockets.length > 0 && (program === undefined || stocked)) this.announce();
    return all;
  }

  private announce(): void {
    this.announced = true;
    const { context, device, sockets, program } = this;
    const mode = program === undefined ? "sends" : program.mode === "native" ? "native XDP" : "generic XDP";
    const copies = sockets.every(({ zeroCopy }) => zeroCopy)
      ? "zero-copy"
      : "copied by the kernel (no zero-copy driver)";
    const { index, count } = context.receiver ?? { index: 0, count: 1 };
    let queues = sockets.length === 1 ? `queue ${sockets[0]!.queue}` : `queues 0 to ${sockets.length - 1}`;
    if (count > 1 && sockets.length > 1) queues = `queues ${sockets.map(({ queue }) => queue).join(", ")}`;
    // What one port of one run does not take, no other can: an interface has one program.
    if (program !== undefined && !this.allQueues && device.queues > 1) {
      queues += ` of ${device.queues}; packets of the others go to this host's own stack`;
    }
    const core = count > 1 ? `, core ${index + 1} of ${count}` : "";
    context.warn(`port ${context.name}: ${device.name} by AF_XDP, ${mode}, ${copies}, ${queues}${core}`);
  }

  receive(slots: Uint32Array, count: number): number {
    const { sockets } = this;
    for (let i = 0; i < sockets.length; i++) {
      const at = this.turn;
      this.turn = at + 1 < sockets.length ? at + 1 : 0;
      const received = this.receiveFrom(sockets[at]!, at, slots, count);
      if (received > 0) return received;
    }
    return 0;
  }

  private receiveFrom(socket: XdpSocket, at: number, slots: Uint32Array, count: number): number {
    const rx = socket.rx!;
    const { fill } = socket;
    const some = Math.min(count, rx.available(count));
    if (some > 0) {
      const { clock } = this;
      clock.read();
      this.exchanges[at]!(slots, 0, some, rx.own, fill.own, clock.sec, clock.nsec, 0);
      rx.own = (rx.own + some) | 0;
      rx.consume();
      fill.own = (fill.own + some) | 0;
      fill.produce();
    }
    if (fill.needsWakeup) recvfrom(socket.fd, null, 0, MSG_DONTWAIT, null, null);
    return some;
  }

  /** Deals slots to the fill rings. */
  private supply(slots: Uint32Array, count: number): void {
    const { sockets, filled } = this;
    for (let i = 0; i < count; i++) {
      const { fill } = sockets[i % sockets.length]!;
      fill.entries[(fill.own & fill.mask) << 1] = slots[i]! << SLOT_SHIFT;
      fill.own = (fill.own + 1) | 0;
      filled[slots[i]!] = 1;
    }
    for (const { fill } of sockets) fill.produce();
    this.haveSlots();
  }

  /** Fill rings have been filled: packets may come. */
  haveSlots(): void {
    this.stocked = true;
    this.bind();
  }

  /**
   * The kernel may hold some of these slots until the sockets are closed, but with the program detached it writes into none that anybody
   * still reads: after stop() no slot is used again.
   */
  private withdraw(slots: Uint32Array): number {
    const { filled } = this;
    let count = 0;
    for (let slot = filled.indexOf(1); slot >= 0 && count < slots.length; slot = filled.indexOf(1, slot + 1)) {
      filled[slot] = 0;
      slots[count++] = slot;
    }
    return count;
  }

  transmit(slots: Uint32Array, count: number): void {
    this.sender!.transmit(slots, count);
  }

  reclaim(slots: Uint32Array, force: boolean): number {
    return this.sender!.reclaim(slots, force);
  }

  private update(): void {
    const { statistics, sockets } = this;
    statistics.rxDropped = 0;
    statistics.rxInvalid = 0;
    statistics.txInvalid = 0;
    statistics.rxRingFull = 0;
    statistics.fillEmpty = 0;
    for (const socket of sockets) socket.addStatistics(statistics);
    this.watch.look();
    if (!this.watch.over) this.bind();
  }

  async ready(): Promise<void> {}

  flush(): void {}

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    for (const one of this.open.reverse()) one.close();
  }
}
