/** Sending by sendmmsg(2) on an AF_PACKET socket, past the queueing discipline: how the drivers packet and mmsg send. */
import { performance } from "node:perf_hooks";
import { requireInterface } from "../net/interface.js";
import { LinkWatch } from "../net/link-watch.js";
import { close, ERRNO, errno, sendmmsg } from "../net/syscalls.js";
import type { LiveTx, PortContext, TxPort } from "../port.js";
import type { PacketConfig } from "./config.js";
import { MESSAGES, Messages } from "./messages.js";
import { bindPacket, coreOf, packetSocket } from "./socket.js";

const MSG_DONTWAIT = 0x40;
const { EAGAIN, ENOBUFS } = ERRNO;
/** Ms a driver or a socket that takes nothing more is waited for before a frame is given up. */
const PATIENCE_MS = 100;

/** @throws RunError for an interface that is not there, or without the right */
export function openPacketTx(config: PacketConfig, context: PortContext): TxPort {
  const where = `port ${context.name}`;
  const device = requireInterface(config.interface, where);
  const fd = packetSocket(where);
  bindPacket(fd, device, false, where);
  const messages = config.messages ?? MESSAGES;
  const how = `sendmmsg of ${messages} packets`;
  context.warn(`${where}: ${device.name} by AF_PACKET, ${how}${coreOf(context)}`);
  return new PacketTx(fd, messages, new LinkWatch(device, context), context);
}

class PacketTx implements TxPort {
  readonly live: LiveTx;
  private readonly messages: Messages;
  private errors = 0;
  private errorBytes = 0;
  /** The last frame was given up: the next ones are not waited for, until one leaves. */
  private stuck = false;
  private closed = false;

  constructor(
    private readonly fd: number,
    private readonly most: number,
    watch: LinkWatch,
    private readonly context: PortContext,
  ) {
    this.messages = new Messages(most, context.arena, false);
    const port = this;
    this.live = {
      update: () => watch.look(),
      get oerrors() {
        return port.errors;
      },
      get oerrorBytes() {
        return port.errorBytes;
      },
    };
  }

  transmit(slots: Uint32Array, count: number): void {
    const { messages, most } = this;
    for (let from = 0; from < count; from += most) {
      const some = Math.min(most, count - from);
      messages.point(slots, from, some);
      this.send(slots, from, some);
    }
  }

  /** Sends all messages. The call stops at the first that fails, and says why when it is the first of a call. */
  private send(slots: Uint32Array, from: number, count: number): void {
    const { fd, messages } = this;
    let sent = 0;
    let deadline = 0;
    while (sent < count) {
      const some = sendmmsg(fd, messages.addressOf(sent), count - sent, MSG_DONTWAIT);
      if (some > 0) {
        sent += some;
        this.stuck = false;
        deadline = 0;
        continue;
      }
      const number = errno();
      // Also what a driver says that has dropped the frame: its link is down, or its queue full.
      if ((number === ENOBUFS || number === EAGAIN) && !this.stuck) {
        if (deadline === 0) deadline = performance.now() + PATIENCE_MS;
        if (performance.now() < deadline) continue;
        this.stuck = true;
      }
      this.errors++;
      this.errorBytes += this.context.arena.len[slots[from + sent]!]!;
      sent++;
    }
  }

  flush(): void {}

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    close(this.fd);
    this.messages.close();
  }
}
