/**
 * Receiving by a ring of blocks that the kernel fills (TPACKET_V3, Documentation/networking/packet_mmap.rst), without a system call per
 * burst (driver `packet`). Frames are copied from the ring into slots; a block is the kernel's again when its last frame is taken.
 */
import { RunError } from "../../errors.js";
import { requireInterface } from "../net/interface.js";
import { LinkWatch } from "../net/link-watch.js";
import { close, errno, errorName, type Mapping, mapDescriptor, setsockopt, unmap } from "../net/syscalls.js";
import type { LiveRx, PortContext, RxPort } from "../port.js";
import { Blocks } from "./blocks.js";
import type { PacketConfig } from "./config.js";
import { bindReceiver, coreOf, membershipOf, type PacketShare, packetSocket, SOL_PACKET, socketRx } from "./socket.js";

const PACKET_RX_RING = 5;
const PACKET_VERSION = 10;
const PACKET_RESERVE = 12;
const TPACKET_V3 = 2;
const BLOCK_BYTES = 1 << 18;
const BLOCKS = 64;
/** Bytes before each frame: without them the kernel puts frames at 2 mod 4 (82 behind their header), where no word can be copied as one. */
const RESERVED = 2;
/** The kernel gives up a block that is not full after so many ms. */
const RETIRE_MS = 1;

/** @throws RunError for an interface that is not there, or without the right */
export function openPacketRx(config: PacketConfig, context: PortContext): RxPort {
  const where = `port ${context.name}`;
  const device = requireInterface(config.interface, where);
  const fd = packetSocket(where);
  const ring = makeBlocks(fd, where);
  const share = bindReceiver(fd, device, context);
  context.warn(`${where}: ${device.name} by AF_PACKET, TPACKET_V3 ring, copied twice${coreOf(context)}`);
  const membership = membershipOf(device, context, config.promiscuous !== false);
  return new PacketRx(fd, membership, ring, new LinkWatch(device, context), context, share);
}

function makeBlocks(fd: number, where: string): Mapping {
  const version = new Uint8Array(Int32Array.of(TPACKET_V3).buffer);
  const frame = 2048;
  // tpacket_req3: block size and number, frame size and number, timeout, private bytes, features.
  const request = Uint32Array.of(BLOCK_BYTES, BLOCKS, frame, (BLOCK_BYTES / frame) * BLOCKS, RETIRE_MS, 0, 0);
  const bytes = new Uint8Array(request.buffer);
  setsockopt(fd, SOL_PACKET, PACKET_RESERVE, new Uint8Array(Int32Array.of(RESERVED).buffer), 4);
  const made =
    setsockopt(fd, SOL_PACKET, PACKET_VERSION, version, 4) === 0 &&
    setsockopt(fd, SOL_PACKET, PACKET_RX_RING, bytes, bytes.length) === 0;
  const mapping = made ? mapDescriptor(fd, BLOCK_BYTES * BLOCKS, 0) : undefined;
  if (mapping !== undefined) return mapping;
  const number = errno();
  close(fd);
  throw new RunError(where, `the kernel refused a TPACKET_V3 ring: ${errorName(number)}`, "take the mmsg driver");
}

class PacketRx implements RxPort {
  readonly done = false;
  readonly live: LiveRx;
  private readonly blocks: Blocks;
  private taken = 0;
  private closed = false;

  constructor(
    private readonly fd: number,
    private readonly membership: number | undefined,
    private readonly ring: Mapping,
    watch: LinkWatch,
    context: PortContext,
    readonly share: PacketShare,
  ) {
    this.blocks = new Blocks(ring, BLOCK_BYTES, context.arena);
    this.live = socketRx(fd, Number.POSITIVE_INFINITY, watch, () => this.taken);
  }

  receive(slots: Uint32Array, count: number): number {
    const some = this.blocks.receive(slots, count);
    this.taken += some;
    return some;
  }

  async ready(): Promise<void> {}

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    unmap(this.ring);
    close(this.fd);
    if (this.membership !== undefined) close(this.membership);
  }
}
