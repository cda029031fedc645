/**
 * Packets for the host's own network stack: frames go up the stack as received from the interface they came in by, through packet taps,
 * traffic control and netfilter like any other; the driver's counters, which have counted them, do not count them twice.
 *
 * Why this way, compared in one process on one machine (scales, not figures): a call costs as much as some ten frames, since the kernel
 * makes and tears down a pool of pages for it. Spread over a burst, a frame takes a few us, no longer than by write(2) to a TAP device; a
 * frame alone takes some five times as long as by that. But a TAP device would be an interface of its own, seen and configured by whoever
 * manages the host's network, from which frames would have to be redirected by traffic control; and what AF_PACKET sends leads out of an
 * interface, not into the host. Pages are the kernel's until those the frames are for have read them, as of any packet received.
 */
import { RunError } from "../../errors.js";
import { type Arena, SLOT_SHIFT } from "../../packet/arena.js";
import { copyMemory, mapRegion, type Region, unmapRegion } from "../../packet/memory.js";
import { bpf, ERRNO, errno, errorName, type Mapping, mapDescriptor, unmap } from "../net/syscalls.js";
import type { HostAccess, HostPort } from "../port.js";
import { AREA, FRAMES, hostRefused, TEMPLATE } from "./program.js";

/** Constants of this module are part of the compiled code (see egress.ts). */
const SHIFT = SLOT_SHIFT;
const MOST = FRAMES;
const LENGTHS_AT = AREA.LENGTHS / 4;
const COUNT_AT = AREA.COUNT / 4;
const NEXT_AT = AREA.NEXT / 4;
const PASSED_AT = AREA.PASSED / 4;
const FRAMES_AT = AREA.FRAMES;
const { STRIDE } = AREA;

/** linux/bpf.h, bpf_attr of BPF_PROG_TEST_RUN: where its values stand. */
const PROG_TEST_RUN = 10;
const RUN = { PROGRAM: 0, DATA_BYTES: 8, DATA: 16, REPEAT: 32, CONTEXT_BYTES: 40, CONTEXT: 48, FLAGS: 64, BATCH: 72 };
const RUN_BYTES = 80;
const BPF_F_TEST_XDP_LIVE_FRAMES = 2;
/** struct xdp_md: the end of the data, and the interface it is received from; queue 0. */
const CONTEXT = { DATA_END: 4, INGRESS: 12, BYTES: 24 };
/** What the kernel reads, in one mapping: the call's attributes, the context, the template; and the mark. */
const AT = { CONTEXT: 128, TEMPLATE: 192, MARK: 256, BYTES: 320 };
const MARK_AT = AT.MARK;

/**
 * Opens the way to the host's stack.
 * @param ports by port number: how frames it received get there; undefined where they need not, or there is no host
 * @param thread the caller's number, below the hostThreads of the ports
 * @throws RunError without memory
 */
export function openHost(
  ports: readonly (HostAccess | undefined)[],
  thread: number,
  arena: Pick<Arena, "address" | "off" | "len" | "portIn">,
  warn: (line: string) => void,
): HostPort {
  const lanes: HostLane[] = [];
  try {
    for (const [i, port] of ports.entries()) {
      if (port !== undefined) lanes.push(new HostLane(i, port, thread, arena, warn));
    }
  } catch (error) {
    for (const lane of lanes) lane.close();
    throw error;
  }
  return {
    inject(slots, count) {
      let lost = 0;
      for (let i = 0; i < lanes.length; i++) lost += lanes[i]!.inject(slots, count);
      return lost;
    },
    close() {
      for (const lane of lanes.splice(0)) lane.close();
    },
  };
}

/** Has the program run without a frame. @throws RunError where the kernel does not, as before 5.18 */
export function probeHost(access: HostAccess, where: string): void {
  const run = new Run(access, 0);
  const number = run.go(1) < 0 ? errno() : 0;
  run.close();
  // An interface that is gone already is the port's to tell.
  if (number !== 0 && number !== ERRNO.ENODEV) throw hostRefused(where, number);
}

/** Calls of bpf(2) that run an interface's program. */
class Run {
  readonly region: Region;
  private readonly attributes: Uint8Array;
  private readonly request: DataView;

  constructor({ index, program, key, mark }: HostAccess, area: number) {
    this.region = mapRegion(AT.BYTES);
    const { buffer, address } = this.region;
    this.attributes = new Uint8Array(buffer, 0, RUN_BYTES);
    this.request = new DataView(buffer, 0, AT.BYTES);
    const { request } = this;
    request.setUint32(RUN.PROGRAM, program, true);
    request.setUint32(RUN.DATA_BYTES, TEMPLATE.BYTES, true);
    request.setBigUint64(RUN.DATA, BigInt(address + AT.TEMPLATE), true);
    request.setUint32(RUN.CONTEXT_BYTES, CONTEXT.BYTES, true);
    request.setBigUint64(RUN.CONTEXT, BigInt(address + AT.CONTEXT), true);
    request.setUint32(RUN.FLAGS, BPF_F_TEST_XDP_LIVE_FRAMES, true);
    request.setUint32(AT.CONTEXT + CONTEXT.DATA_END, TEMPLATE.BYTES, true);
    request.setUint32(AT.CONTEXT + CONTEXT.INGRESS, index, true);
    const bytes = new Uint8Array(buffer, 0, AT.BYTES);
    bytes.set(key, AT.TEMPLATE);
    request.setUint32(AT.TEMPLATE + TEMPLATE.AREA, area, true);
    if (mark !== undefined) bytes.set(mark, AT.MARK);
  }

  /** @returns negative: see errno() */
  go(times: number): number {
    this.request.setUint32(RUN.REPEAT, times, true);
    // No template is used twice: the program has written a frame into it.
    this.request.setUint32(RUN.BATCH, times, true);
    return bpf(PROG_TEST_RUN, this.attributes);
  }

  close(): void {
    unmapRegion(this.region);
  }
}

/** The way to the host's stack of one interface's frames. */
class HostLane {
  private readonly run: Run;
  private readonly memory: Mapping;
  private readonly words: Uint32Array;
  private readonly markBytes: number;
  private warned = false;

  constructor(
    private readonly port: number,
    private readonly access: HostAccess,
    thread: number,
    private readonly arena: Pick<Arena, "address" | "off" | "len" | "portIn">,
    private readonly warn: (line: string) => void,
  ) {
    const memory = mapDescriptor(access.map, AREA.BYTES, thread * AREA.BYTES);
    if (memory === undefined) throw new RunError("target kernel", `no memory for frames: ${errorName(errno())}`);
    this.memory = memory;
    this.words = new Uint32Array(memory.buffer, 0, AREA.FRAMES / 4);
    this.markBytes = access.mark?.length ?? 0;
    this.run = new Run(access, thread);
  }

  /** Hands over those of the frames that came in by this interface. @returns how many of them were refused */
  inject(slots: Uint32Array, count: number): number {
    const { port } = this;
    const { portIn } = this.arena;
    let lost = 0;
    let some = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      if (portIn[slot] !== port) continue;
      this.put(slot, some++);
      if (some < MOST) continue;
      lost += this.send(some);
      some = 0;
    }
    return some > 0 ? lost + this.send(some) : lost;
  }

  /** Copies a frame, behind the mark where there is one, to where the program finds it. */
  private put(slot: number, at: number): void {
    const { markBytes, memory, run } = this;
    const { off, len, address } = this.arena;
    const bytes = len[slot]!;
    const to = memory.address + FRAMES_AT + at * STRIDE;
    if (markBytes > 0) copyMemory(to, run.region.address + MARK_AT, markBytes);
    copyMemory(to + markBytes, address + (slot << SHIFT) + off[slot]!, bytes);
    this.words[LENGTHS_AT + at] = markBytes + bytes;
  }

  /** @returns how many frames of `count` the host has not got */
  private send(count: number): number {
    const { words } = this;
    words[COUNT_AT] = count;
    words[NEXT_AT] = 0;
    words[PASSED_AT] = 0;
    const number = this.run.go(count) < 0 ? errno() : 0;
    if (number === 0 && words[PASSED_AT] === count) return 0;
    // Where the program has seen all frames and the call fails, there was no memory for what the stack keeps of them: all are lost.
    const lost = number !== 0 && words[NEXT_AT] === count ? count : count - words[PASSED_AT]!;
    if (!this.warned) this.tell(lost, number);
    return lost;
  }

  private tell(packets: number, number: number): void {
    this.warned = true;
    const what = `${packets} packets for this host, received from ${this.access.name}, were refused`;
    const why = number === 0 ? "a frame's length" : errorName(number);
    this.warn(`target kernel: ${what} (${why}); they and those that follow them are drops as egress/kernel-refused`);
  }

  close(): void {
    unmap(this.memory);
    this.run.close();
  }
}
