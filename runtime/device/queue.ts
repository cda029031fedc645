/**
 * The queue between CPUSyncer and GPUSyncer in shared memory (Hummingbird IV-B and IV-C, figure 2): the only place where host and
 * device meet. Everything is u32 in native byte order; the kernels get the same numbers as macros (see {@link queueDefines}).
 *
 * ```
 *   line 0            host to device: STOP, LEAVE, HEARTBEAT, PATIENCE, LAUNCH, FIRST, QUEUES, ASLEEP
 *   line 1            device: TICKET
 *   line 2 + wg       control line of a workgroup: CPU_INDEX and WANTED in its first half, GPU_INDEX and what else the device says in the other
 *   rows              queue 0: DEPTH rows, queue 1: ...
 *   row               header (ROW_HEADER words: PROGRAM, COUNT, TABLE, NF), then one entry for each thread: a slot number, or DUMMY
 * ```
 *
 * A line is 128 bytes, so no two workgroups write into one line, and CPU_INDEX and GPU_INDEX, which different sides write, lie in
 * different halves. An entry is a slot number and nothing else: what the kernel has to look at within the slot stands in the slot's
 * params (PLACE), beside what else prepare left there, in one 32-byte sector. (The design's first draft had offset and length in the
 * entry, too; that doubles what the host writes per packet, and the kernel reads the params anyway.)
 *
 * Row numbers (CpuIndex, GpuIndex) are free-running u32, compared by difference; row i of a queue lies at i modulo DEPTH. Only the
 * workgroup's own syncer writes rows and CPU_INDEX; only the workgroup's first thread writes the second half of the line.
 */

/** Words of a line. */
export const LINE_WORDS = 32;
/** Entry without a packet. */
export const DUMMY = 0xffff_ffff;
/** Words of a row in front of its entries. */
export const ROW_HEADER = 16;

/** Words of line 0, written by the host. */
export const enum HOST {
  /** 1: workgroups return as soon as they see it. */
  STOP = 0,
  /** 1: workgroups return after the row they are at; the kernel will be launched again (slices). */
  LEAVE = 1,
  /** Grows while the host lives. */
  HEARTBEAT = 2,
  /** Fruitless polls without a change of HEARTBEAT after which a workgroup takes the host for dead; 0: never. */
  PATIENCE = 3,
  /** Number of the current launch, from 1. */
  LAUNCH = 4,
  /** Queue the first ticket of this launch takes. */
  FIRST = 5,
  /** Queues in use, the first ones: tickets are taken for these, and only they get rows. All, until it is known how many workgroups run at once. */
  QUEUES = 6,
  /** 1: the device thread is about to sleep, or asleep, and who publishes a row wakes it. Rounds only: a running kernel needs no waking. */
  ASLEEP = 7,
}

/** Word of the device's line: tickets taken in this launch. The host sets it to 0 between launches. The next word is that of a fault (tests). */
export const TICKET = LINE_WORDS;

/** Words of a workgroup's control line. */
export const enum WG {
  /** Rows published. */
  CPU_INDEX = 0,
  /**
   * Number of the launch in which the syncer has packets and nobody serves any of its queues: should it stay so, the queue wants its turn
   * as one in which rows wait. The syncer cannot say so with a row, since only queues that are served get rows.
   */
  WANTED = 1,
  /** Rows processed. */
  GPU_INDEX = 16,
  /** Number of the launch in which a workgroup registered for this queue; the host gives work to no other. */
  STARTED = 17,
  /** Polls so far, written now and then: calibrates PATIENCE. */
  POLLS = 18,
  /** Why the workgroup returned from launch STARTED: 0 it has not, 1 stop, 2 leave, 3 heartbeat lost. */
  LEFT = 19,
}

/** Words of a row's header. */
export const enum ROW {
  /** Index of the program (which kernel function) among those the device was opened with. */
  PROGRAM = 0,
  /** Packets in the row; the other entries are dummies. */
  COUNT = 1,
  /** Where the NF's tables begin, in words from the start of the tables' memory. With each row, so that a new table is swapped in
   * between two rows, and the old one is free once the last row that names it is done. */
  TABLE = 2,
  /** Number of the NF among those the device was opened with: several may have one program. */
  NF = 3,
}

/** Word of a slot's params that says what the kernel works on: bits 0-15 first byte, from the start of the slot; 16-31 bytes. */
export const PARAM_PLACE = 7;

export interface QueueShape {
  readonly workgroups: number;
  /** Threads of a workgroup = entries of a row. A power of two. */
  readonly workgroupSize: number;
  /** Rows of each queue. A power of two. */
  readonly depth: number;
}

export function rowWords(shape: QueueShape): number {
  return ROW_HEADER + shape.workgroupSize;
}

/** Word at which a workgroup's control line begins. */
export function lineAt(workgroup: number): number {
  return (2 + workgroup) * LINE_WORDS;
}

/** Word at which row `index` (any u32) of a queue begins. */
export function rowAt(shape: QueueShape, queue: number, index: number): number {
  const row = queue * shape.depth + (index & (shape.depth - 1));
  return lineAt(shape.workgroups) + row * rowWords(shape);
}

/** Bytes of the whole queue. */
export function queueBytes(shape: QueueShape): number {
  return 4 * (lineAt(shape.workgroups) + shape.workgroups * shape.depth * rowWords(shape));
}

/** The layout as macros for the kernels. */
export function queueDefines(shape: QueueShape): Record<string, number> {
  return {
    WB_WORKGROUPS: shape.workgroups,
    WB_WORKGROUP_SIZE: shape.workgroupSize,
    WB_DEPTH: shape.depth,
    WB_LINE_WORDS: LINE_WORDS,
    WB_ROW_HEADER: ROW_HEADER,
    WB_DUMMY: DUMMY,
    WB_HOST_STOP: HOST.STOP,
    WB_HOST_LEAVE: HOST.LEAVE,
    WB_HOST_HEARTBEAT: HOST.HEARTBEAT,
    WB_HOST_PATIENCE: HOST.PATIENCE,
    WB_HOST_LAUNCH: HOST.LAUNCH,
    WB_HOST_FIRST: HOST.FIRST,
    WB_HOST_QUEUES: HOST.QUEUES,
    WB_TICKET: TICKET,
    WB_CPU_INDEX: WG.CPU_INDEX,
    WB_GPU_INDEX: WG.GPU_INDEX,
    WB_STARTED: WG.STARTED,
    WB_POLLS: WG.POLLS,
    WB_LEFT: WG.LEFT,
    WB_ROW_PROGRAM: ROW.PROGRAM,
    WB_ROW_COUNT: ROW.COUNT,
    WB_ROW_TABLE: ROW.TABLE,
    WB_ROW_NF: ROW.NF,
    WB_PARAM_PLACE: PARAM_PLACE,
  };
}
