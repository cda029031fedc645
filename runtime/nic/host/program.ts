/**
 * What an interface's XDP program needs to make frames for the host's own network stack, which has none of those that AF_XDP sockets take.
 *
 * bpf(2) can run a program on frames of the kernel's own that then really go up the stack, as received from an interface
 * (BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES, linux/Documentation/bpf/bpf_prog_run.rst). All frames of a call have one content; so
 * each is a template only, by whose first bytes, the key, the program knows it, and in its place the program puts the next frame of a map
 * that the caller has filled (bpf_xdp_store_bytes). Both are there since Linux 5.18.
 *
 * It is the attached program that is run and not one more: a call of several frames with a program that hangs nowhere makes the kernel
 * wait for all processors twice (bpf_prog_change_xdp), tens of ms.
 *
 * Behind a generic program, the frame meets it again on its way up: it has a mark in front then, which the program takes off and lets it
 * pass. A flag that says "the next one is ours" would not do, since with receive packet steering (RPS) the stack takes frames up later, on
 * another processor. Key and mark are random: nobody outside can know them.
 */
import { randomBytes } from "node:crypto";
import { RunError } from "../../errors.js";
import { ETHERNET } from "../../packet/protocols.js";
import { BPF_F_MMAPABLE, BPF_MAP, createMap, type Instruction, XDP } from "../net/bpf.js";
import { noRight } from "../net/interface.js";
import { close, ERRNO, errno, errorName } from "../net/syscalls.js";
import type { HostAccess } from "../port.js";

/** Bytes of key and mark: what an Ethernet header has and two more, a multiple of 8. They differ in the second half. */
const KEY_BYTES = 16;
/** A template: key, u32 number of the area to take frames from, and bytes up to the least that an Ethernet has. */
export const TEMPLATE = { AREA: KEY_BYTES, BYTES: 64 } as const;
/** Longest frame: a slot's bytes behind a mark. */
const LONGEST_FRAME = 2048 + KEY_BYTES;
/** The kernel takes none that is shorter than an Ethernet header. */
const SHORTEST_FRAME = 14;
/**
 * The map's one value has an area for each thread, which maps that alone: whole pages, of any size. u32 words in native byte order; then
 * frames. COUNT is the caller's; the program counts frames it has come to (NEXT) and let pass (PASSED).
 */
export const AREA = {
  COUNT: 0,
  NEXT: 4,
  PASSED: 8,
  LENGTHS: 64,
  FRAMES: 512,
  STRIDE: LONGEST_FRAME,
  BYTES: 131072,
} as const;
/** Frames of one call. */
export const FRAMES = Math.floor((AREA.BYTES - AREA.FRAMES) / AREA.STRIDE);

/** For the program of one interface. */
export interface HostSide {
  /**
   * Instructions that begin a program: with r1 the context, they end it for templates (and for marked frames where it is `marked`) and run
   * on behind themselves for all others, r1 as it was.
   */
  instructions(marked: boolean): Instruction[];
  access(device: { readonly name: string; readonly index: number }, program: number, marked: boolean): HostAccess;
  close(): void;
}

/** @param threads that may hand over frames @throws RunError without the right, or where the kernel has no such map */
export function openHostSide(threads: number, where: string): HostSide {
  const map = createMap(BPF_MAP.ARRAY, threads * AREA.BYTES, 1, BPF_F_MMAPABLE);
  if (map < 0) throw hostRefused(where, errno(), "no map");
  const [key, mark] = makeKeys();
  let closed = false;
  return {
    instructions: (marked) => instructions(map, threads, key, marked ? mark : undefined),
    access: ({ name, index }, program, marked) => ({ name, index, program, map, key, mark: marked ? mark : undefined }),
    close() {
      if (!closed) close(map);
      closed = true;
    },
  };
}

/** An error for what the kernel says to any of this. */
export function hostRefused(where: string, number: number, said = errorName(number)): RunError {
  if (number === ERRNO.EPERM || number === ERRNO.EACCES) return noRight(where, "XDP programs", number);
  const remedy =
    "use Linux 5.18 or later; or the driver packet, where the host sees every packet anyway; or no row with the target kernel";
  return new RunError(
    where,
    `this kernel takes no frames for its own network stack, the target kernel: ${said}`,
    remedy,
  );
}

/**
 * Random, but where an Ethernet header has its type, and for a destination that is a locally administered address of one host: what the
 * stack does with a frame before it meets the program does not depend on chance, and should a mark stay on, nobody takes the frame.
 */
function makeKeys(): [Uint8Array, Uint8Array] {
  const key = new Uint8Array(randomBytes(KEY_BYTES));
  key[0] = (key[0]! & 0xfc) | 2;
  key.set([0x88, 0xb5], ETHERNET.TYPE);
  const mark = key.slice();
  mark[KEY_BYTES - 1] = key[KEY_BYTES - 1]! ^ 1;
  return [key, mark];
}

/** Jumps to labels, which are resolved when all lengths are known. */
type Line = Instruction | { readonly label: string } | { readonly jump: Instruction; readonly to: string };

function resolve(lines: readonly Line[]): Instruction[] {
  const labels = new Map<string, number>();
  let at = 0;
  for (const line of lines) {
    if ("label" in line) labels.set(line.label, at);
    else at++;
  }
  at = 0;
  return lines.flatMap((line): Instruction[] => {
    if ("label" in line) return [];
    at++;
    if (!("jump" in line)) return [line];
    const [operation, registers, , immediate] = line.jump;
    return [[operation, registers, labels.get(line.to)! - at, immediate]];
  });
}

/** r6: context, r7: the area, r8: number of the frame, then its address, r9: its length. */
function instructions(map: number, areas: number, key: Uint8Array, mark: Uint8Array | undefined): Instruction[] {
  const half = (bytes: Uint8Array, i: 0 | 1): Line[] => {
    const view = new DataView(bytes.buffer, bytes.byteOffset + i * 8);
    // r4 = 64 bits, in two instructions
    return [
      [0x18, 0x04, 0, view.getInt32(0, true)],
      [0, 0, 0, view.getInt32(4, true)],
    ];
  };
  const lines: Line[] = [
    // r2 = data, r3 = data_end
    [0x61, 0x12, 0, 0],
    [0x61, 0x13, 4, 0],
    [0xbf, 0x24, 0, 0],
    [0x07, 0x04, 0, TEMPLATE.AREA + 4],
    { jump: [0x2d, 0x34, 0, 0], to: "other" },
    [0x79, 0x25, 0, 0],
    ...half(key, 0),
    { jump: [0x5d, 0x45, 0, 0], to: "other" },
    [0x79, 0x25, 8, 0],
    ...(mark === undefined ? [] : [...half(mark, 1), { jump: [0x1d, 0x45, 0, 0] as const, to: "marked" }]),
    ...half(key, 1),
    { jump: [0x5d, 0x45, 0, 0], to: "other" },
    // r7 = the map's value + AREA_BYTES * number of the area
    [0x61, 0x27, TEMPLATE.AREA, 0],
    { jump: [0x35, 0x07, 0, areas], to: "drop" },
    [0x27, 0x07, 0, AREA.BYTES],
    [0x18, 0x22, 0, map],
    [0, 0, 0, 0],
    [0x0f, 0x27, 0, 0],
    [0xbf, 0x16, 0, 0],
    // if (NEXT >= COUNT || NEXT >= FRAMES) drop; NEXT++
    [0x61, 0x78, AREA.NEXT, 0],
    [0x61, 0x71, AREA.COUNT, 0],
    { jump: [0x3d, 0x18, 0, 0], to: "drop" },
    { jump: [0x35, 0x08, 0, FRAMES], to: "drop" },
    [0xbf, 0x81, 0, 0],
    [0x07, 0x01, 0, 1],
    [0x63, 0x17, AREA.NEXT, 0],
    // r9 = LENGTHS[NEXT], within what a frame can have
    [0xbf, 0x89, 0, 0],
    [0x67, 0x09, 0, 2],
    [0x0f, 0x79, 0, 0],
    [0x61, 0x99, AREA.LENGTHS, 0],
    { jump: [0xa5, 0x09, 0, SHORTEST_FRAME], to: "drop" },
    { jump: [0x25, 0x09, 0, LONGEST_FRAME], to: "drop" },
    // bpf_xdp_adjust_tail(context, LENGTHS[NEXT] - TEMPLATE.BYTES)
    [0xbf, 0x61, 0, 0],
    [0xbf, 0x92, 0, 0],
    [0x07, 0x02, 0, -TEMPLATE.BYTES],
    [0x85, 0, 0, 65],
    { jump: [0x55, 0x00, 0, 0], to: "drop" },
    // bpf_xdp_store_bytes(context, 0, FRAMES + NEXT * STRIDE, LENGTHS[NEXT])
    [0x27, 0x08, 0, AREA.STRIDE],
    [0x0f, 0x78, 0, 0],
    [0x07, 0x08, 0, AREA.FRAMES],
    [0xbf, 0x61, 0, 0],
    [0xb7, 0x02, 0, 0],
    [0xbf, 0x83, 0, 0],
    [0xbf, 0x94, 0, 0],
    [0x85, 0, 0, 190],
    { jump: [0x55, 0x00, 0, 0], to: "drop" },
    // PASSED++
    [0x61, 0x71, AREA.PASSED, 0],
    [0x07, 0x01, 0, 1],
    [0x63, 0x17, AREA.PASSED, 0],
    [0xb7, 0x00, 0, XDP.PASS],
    [0x95, 0, 0, 0],
    ...(mark === undefined ? [] : TAKE_MARK_OFF),
    { label: "drop" },
    [0xb7, 0x00, 0, XDP.DROP],
    [0x95, 0, 0, 0],
    { label: "other" },
  ];
  return resolve(lines);
}

/** if (bpf_xdp_adjust_head(r1, KEY_BYTES) == 0) pass */
const TAKE_MARK_OFF: readonly Line[] = [
  { label: "marked" },
  [0xb7, 0x02, 0, KEY_BYTES],
  [0x85, 0, 0, 44],
  { jump: [0x55, 0x00, 0, 0], to: "drop" },
  [0xb7, 0x00, 0, XDP.PASS],
  [0x95, 0, 0, 0],
];
