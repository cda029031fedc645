/** Receiving by recvmmsg(2): several packets per system call, copied by the kernel straight into slots (driver `mmsg`). */
import { DATA_OFFSET, MAX_FRAME, RX_ERROR, SLOT_SHIFT } from "../../packet/arena.js";
import { requireInterface } from "../net/interface.js";
import { LinkWatch } from "../net/link-watch.js";
import { close, recvmmsg } from "../net/syscalls.js";
import type { LiveRx, PortContext, RxPort } from "../port.js";
import { WallClock } from "../rings/wall-clock.js";
import type { PacketConfig } from "./config.js";
import { MESSAGES, Messages } from "./messages.js";
import {
  bindReceiver,
  coreOf,
  membershipOf,
  type PacketShare,
  packetSocket,
  putTag,
  socketRx,
  TAG_BYTES,
  TP_STATUS_VLAN_VALID,
} from "./socket.js";

const MSG_TRUNC_DONTWAIT = 0x20 | 0x40;
/** Constants of this module are part of the compiled code (see egress.ts). */
const OFFSET = DATA_OFFSET;
const LONGEST = MAX_FRAME;
const TOO_LONG = RX_ERROR.TOO_LONG;

/** @throws RunError for an interface that is not there, or without the right */
export function openMmsgRx(config: PacketConfig, context: PortContext): RxPort {
  const where = `port ${context.name}`;
  const device = requireInterface(config.interface, where);
  const fd = packetSocket(where);
  const share = bindReceiver(fd, device, context);
  const messages = config.messages ?? MESSAGES;
  const how = `recvmmsg of ${messages} packets, copied by the kernel`;
  context.warn(`${where}: ${device.name} by AF_PACKET, ${how}${coreOf(context)}`);
  const membership = membershipOf(device, context, config.promiscuous !== false);
  return new MmsgRx(fd, membership, messages, new LinkWatch(device, context), context, share);
}

class MmsgRx implements RxPort {
  readonly done = false;
  readonly live: LiveRx;
  private readonly messages: Messages;
  private readonly clock = new WallClock();
  private taken = 0;
  private closed = false;

  constructor(
    private readonly fd: number,
    private readonly membership: number | undefined,
    private readonly most: number,
    watch: LinkWatch,
    private readonly context: PortContext,
    readonly share: PacketShare,
  ) {
    this.messages = new Messages(most, context.arena.address, true);
    this.live = socketRx(fd, watch, () => this.taken);
  }

  receive(slots: Uint32Array, count: number): number {
    const { messages, most, fd } = this;
    const { u8, off, len, wireLen, rxError, tsSec, tsNsec } = this.context.arena;
    const want = Math.min(count, most);
    for (let i = 0; i < want; i++) messages.toReceive(i, slots[i]!);
    // -1: nothing there, or the link is down.
    const some = recvmmsg(fd, messages.addressOf(0), want, MSG_TRUNC_DONTWAIT, null);
    if (some <= 0) return 0;
    this.taken += some;
    this.clock.read();
    const { sec, nsec } = this.clock;
    for (let i = 0; i < some; i++) {
      const slot = slots[i]!;
      const bytes = messages.lengthOf(i);
      off[slot] = OFFSET;
      len[slot] = bytes > LONGEST ? LONGEST : bytes;
      wireLen[slot] = bytes;
      rxError[slot] = bytes > LONGEST ? TOO_LONG : 0;
      tsSec[slot] = sec;
      tsNsec[slot] = nsec;
      if ((messages.statusOf(i) & TP_STATUS_VLAN_VALID) !== 0) {
        const tag = messages.tagOf(i);
        putTag(u8, (slot << SLOT_SHIFT) + OFFSET, tag >>> 16, tag & 0xffff);
        off[slot] = OFFSET - TAG_BYTES;
        len[slot] = len[slot]! + TAG_BYTES;
        wireLen[slot] = bytes + TAG_BYTES;
      }
    }
    return some;
  }

  async ready(): Promise<void> {}

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    close(this.fd);
    if (this.membership !== undefined) close(this.membership);
    this.messages.close();
  }
}
