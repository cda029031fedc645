/**
 * Devices without fine-grain SVM atomics (NVIDIA's, ROCm's dGPUs; any other on request): the device thread takes the rows that are there,
 * copies packets to the device, launches kernels/rounds.cl, and copies back. Two rounds are under way at once, so that the host packs
 * one while the device serves the other.
 */
import koffi from "koffi";
import { RunError } from "../../errors.js";
import { Arena, arenaBytes } from "../../packet/arena.js";
import { attachRegion, mapRegion, unmapRegion } from "../../packet/memory.js";
import type { DeviceInfo, DeviceReport } from "../device.js";
import { PACKED, PackedRound } from "../packing.js";
import { DUMMY, type QueueShape, queueBytes, rowWords } from "../queue.js";
import { RowTaker } from "../rounds.js";
import type { DeviceServer, ServedNf, SharedRegions } from "../server.js";
import type { OpenClContext } from "./context.js";
import { CL, check, type Handle, statusName } from "./library.js";

export interface RoundsOptions {
  readonly shape: QueueShape;
  /** Kernels in use, each once. */
  readonly programs: readonly string[];
  readonly nfs: readonly ServedNf[];
  readonly slots: number;
  /** Words of the tables' memory. */
  readonly tableWords: number;
  readonly kernelFolders: readonly string[];
}

const IN_FLIGHT = 2;
/** Threads of a round at most: its packets take 16 MiB on the device. */
const MOST_ENTRIES = 8192;
/** ms without anything to do: as long it looks again at once; then after naps; then after longer ones. */
const EAGER_MS = 0.2;
const DROWSY_MS = 20;
const NAP_MS = 0.05;
const SLEEP_MS = 1;

/** Where a round's copies are, on both sides. */
interface Staging {
  readonly round: PackedRound;
  /** Where each row begins in the queue, and which queue it is of. */
  readonly rows: Uint32Array;
  readonly queues: Uint16Array;
  readonly packets: Handle;
  readonly params: Handle;
  readonly rowBuffer: Handle;
}

export class RoundsServer implements DeviceServer {
  readonly info: DeviceInfo;
  readonly shape: QueueShape;
  readonly lockStep: boolean;
  readonly resident: number;
  readonly regions: SharedRegions;
  private readonly queueWords: Uint32Array;
  private readonly taker: RowTaker;
  private readonly kernel: Handle;
  private readonly tables: Handle;
  private readonly tableWords: number;
  private readonly stagings: readonly Staging[];
  private readonly events: (Handle | undefined)[] = [];
  /** Tables on their way to the device, oldest first: the host's memory is read until then. */
  private readonly uploads: Handle[] = [];
  private readonly eventOut = new BigUint64Array(1);
  private readonly global = new BigUint64Array(1);
  private readonly local: BigUint64Array;
  private readonly yieldCpu: () => number;
  /** The first launch, until it is complete. */
  private trial: Handle | undefined;
  /** Rounds started and ended; number n is in staging n modulo IN_FLIGHT. */
  private started = 0;
  private ended_ = 0;
  private halting = false;
  private busyAt = 0;
  private bytesCopied = 0;

  constructor(
    private readonly device: OpenClContext,
    options: RoundsOptions,
  ) {
    const { shape, slots, programs } = options;
    this.shape = shape;
    this.info = device.info(false);
    this.lockStep = !this.info.emulated;
    this.resident = shape.workgroups;
    this.kernel = device.kernel(
      "rounds",
      { shape, programs, entry: "rounds", folders: options.kernelFolders, defines: { WB_PACKED: PACKED } },
      false,
    );
    this.tableWords = options.tableWords;
    this.tables = device.buffer(4 * options.tableWords, "the tables");
    const writes = new Uint8Array(programs.length);
    for (const nf of options.nfs) if (nf.writes === "packet") writes[nf.program] = 1;
    const regions = [arenaBytes(slots), queueBytes(shape), 4 * options.tableWords].map(mapRegion);
    const [arena, queue, tables] = regions.map(({ address, size, hugePages }) => ({ address, size, hugePages }));
    this.regions = { arena: arena!, queue: queue!, tables: tables! };
    const packets = Arena.attach({ slots, region: arena!, owned: false });
    this.queueWords = new Uint32Array(attachRegion(queue!).buffer);
    this.taker = new RowTaker(queue!, shape);
    const most = Math.max(1, Math.min(shape.workgroups * shape.depth, Math.floor(MOST_ENTRIES / shape.workgroupSize)));
    this.stagings = Array.from({ length: IN_FLIGHT }, () => {
      const round = new PackedRound(packets, shape, most, writes);
      return {
        round,
        rows: new Uint32Array(most),
        queues: new Uint16Array(most),
        packets: device.buffer(round.packetBytes, "packets"),
        params: device.buffer(round.paramBytes, "params"),
        rowBuffer: device.buffer(round.rowBytes, "rows"),
      };
    });
    this.local = BigUint64Array.of(BigInt(shape.workgroupSize));
    this.yieldCpu = koffi.load("libc.so.6").func("int sched_yield()");
  }

  get ended(): boolean {
    return this.started === this.ended_ && this.uploads.length === 0 && this.trial === undefined;
  }

  launch(now: number): void {
    this.uploadTables(0, this.tableWords);
    this.busyAt = now;
    this.launchTrial();
  }

  /**
   * One row of dummies. Drivers put off to the first launch what takes seconds (PoCL compiles for the size of the workgroups, others load
   * the code): no packet is to wait for that, and a kernel that cannot run is found out at the start.
   */
  private launchTrial(): void {
    const { packets, params, rowBuffer } = this.stagings[0]!;
    const { cl, queue } = this.device;
    const row = new Uint32Array(rowWords(this.shape)).fill(DUMMY);
    check(
      cl.enqueueWrite(queue, rowBuffer, 1, 0, row.byteLength, row, 0, null, null) as number,
      "clEnqueueWriteBuffer",
    );
    this.trial = this.enqueue([packets, params, rowBuffer, this.tables], this.shape.workgroupSize, this.eventOut);
    check(cl.flush(queue) as number, "clFlush");
  }

  /** Registers once the first launch is complete. @returns false until then */
  private hasStarted(): boolean {
    if (this.trial === undefined) return true;
    const status = this.device.status(this.trial);
    if (status > CL.COMPLETE) return false;
    this.device.cl.releaseEvent(this.trial);
    this.trial = undefined;
    if (status < 0) throw this.failed("the first launch", status);
    if (!this.halting) this.taker.register();
    return true;
  }

  step(now: number): number {
    if (!this.hasStarted()) return SLEEP_MS;
    let moved = false;
    if (this.uploads.length > 0) this.endUpload();
    if (this.started !== this.ended_) moved = this.endRound();
    if (!this.halting && this.started - this.ended_ < IN_FLIGHT) moved = this.startRound() || moved;
    if (moved) {
      this.busyAt = now;
      return 0;
    }
    const ms = now - this.busyAt;
    if (ms < EAGER_MS) {
      this.yieldCpu();
      return 0;
    }
    return ms < DROWSY_MS || !this.ended ? NAP_MS : SLEEP_MS;
  }

  private startRound(): boolean {
    const { eventOut } = this;
    const { cl, queue } = this.device;
    const staging = this.stagings[this.started % IN_FLIGHT]!;
    const { round, packets, params, rowBuffer } = staging;
    const count = this.taker.take(staging.rows, staging.queues);
    if (count === 0) return false;
    round.pack(this.queueWords, staging.rows, count);
    const entries = count * this.shape.workgroupSize;
    const paramBytes = (round.paramBytes / (staging.rows.length * this.shape.workgroupSize)) * entries;
    const rowBytes = (round.rowBytes / staging.rows.length) * count;
    if (round.packetEnd > 0) this.write(packets, round.packetEnd, round.packetsAt);
    this.write(params, paramBytes, round.paramsAt);
    this.write(rowBuffer, rowBytes, round.rowsAt);
    this.enqueue([packets, params, rowBuffer, this.tables], entries, null);
    if (round.writtenEnd > 0) this.read(packets, round.writtenEnd, round.packetsAt, null);
    this.read(params, paramBytes, round.paramsAt, eventOut);
    check(cl.flush(queue) as number, "clFlush");
    this.events[this.started % IN_FLIGHT] = eventOut[0]!;
    this.started++;
    return true;
  }

  /** @returns the event of the launch, where one is asked for */
  private enqueue(buffers: readonly Handle[], entries: number, event: BigUint64Array | null): Handle | undefined {
    const { device, kernel, global, local } = this;
    device.setBuffers(kernel, buffers);
    global[0] = BigInt(entries);
    const status = device.cl.enqueueKernel(device.queue, kernel, 1, null, global, local, 0, null, event);
    check(status as number, "clEnqueueNDRangeKernel");
    return event?.[0];
  }

  private write(buffer: Handle, bytes: number, from: number): void {
    const { cl, queue } = this.device;
    check(cl.enqueueWrite(queue, buffer, 0, 0, bytes, BigInt(from), 0, null, null) as number, "clEnqueueWriteBuffer");
  }

  private read(buffer: Handle, bytes: number, to: number, event: BigUint64Array | null): void {
    const { cl, queue } = this.device;
    check(cl.enqueueRead(queue, buffer, 0, 0, bytes, BigInt(to), 0, null, event) as number, "clEnqueueReadBuffer");
  }

  /** The oldest round, where its last copy is complete: commands run in order. */
  private endRound(): boolean {
    const at = this.ended_ % IN_FLIGHT;
    const { round, queues } = this.stagings[at]!;
    const event = this.events[at]!;
    const status = this.device.status(event);
    if (status > CL.COMPLETE) return false;
    this.device.cl.releaseEvent(event);
    this.ended_++;
    if (status < 0) throw this.failed("a round", status);
    round.unpack();
    this.bytesCopied += round.bytesCopied;
    this.taker.done(queues, round.count);
    return true;
  }

  private failed(what: string, status: number): RunError {
    return new RunError(
      `device ${this.info.name}`,
      `${what} ended with ${statusName(status)}`,
      "a driver's watchdog resets kernels that run for long: use fewer workgroups, or another --device",
    );
  }

  halt(): void {
    this.halting = true;
    this.taker.leave();
  }

  uploadTables(from: number, count: number): void {
    if (count === 0) return;
    const { cl, queue } = this.device;
    const source = BigInt(this.regions.tables.address + 4 * from);
    // Not waited for: commands run in order, rows that name the table come later, and the table stays as it is until they are done.
    const status = cl.enqueueWrite(queue, this.tables, 0, 4 * from, 4 * count, source, 0, null, this.eventOut);
    check(status as number, "clEnqueueWriteBuffer");
    this.uploads.push(this.eventOut[0]!);
    check(cl.flush(queue) as number, "clFlush");
  }

  private endUpload(): void {
    const event = this.uploads[0]!;
    const status = this.device.status(event);
    if (status > CL.COMPLETE) return;
    this.device.cl.releaseEvent(event);
    this.uploads.shift();
    if (status < 0) {
      const problem = `the tables did not reach it: ${statusName(status)}`;
      throw new RunError(`device ${this.info.name}`, problem, "another --device, or --device none");
    }
  }

  report(): DeviceReport {
    return { bytesCopied: this.bytesCopied, launches: this.started };
  }

  close(): void {
    this.device.close();
    for (const { round } of this.stagings) round.free();
    for (const region of Object.values(this.regions)) unmapRegion(region);
  }
}
