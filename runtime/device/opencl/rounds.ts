/**
 * Devices without fine-grain SVM atomics (NVIDIA's, ROCm's dGPUs; any other on request): the device thread takes the rows that are there,
 * copies packets to the device, launches kernels/rounds.cl, and copies back. Two rounds are under way at once, so that the host packs
 * one while the device serves the other.
 */
import { RunError } from "../../errors.js";
import { yieldCpu } from "../../native/yield-cpu.js";
import type { DeviceInfo, DeviceReport } from "../device.js";
import { PACKED } from "../packing.js";
import type { QueueShape } from "../queue.js";
import { dummyRow, Pace, RoundHost, type RoundsOptions } from "../round-host.js";
import type { DeviceServer, SharedRegions } from "../server.js";
import type { OpenClContext } from "./context.js";
import { CL, check, type Handle, statusName } from "./library.js";

/** ms between looks at the first launch. */
const STARTING_MS = 1;

/** Where a round's copies are on the device. */
interface Buffers {
  readonly packets: Handle;
  readonly params: Handle;
  readonly rows: Handle;
}

export class RoundsServer implements DeviceServer {
  readonly info: DeviceInfo;
  readonly shape: QueueShape;
  readonly lockStep: boolean;
  readonly resident: number;
  readonly regions: SharedRegions;
  private readonly host: RoundHost;
  private readonly pace = new Pace();
  private readonly kernel: Handle;
  private readonly tables: Handle;
  private readonly tableWords: number;
  /** Of round n modulo their number, as its event. */
  private readonly buffers: readonly Buffers[];
  private readonly events: (Handle | undefined)[] = [];
  /** Tables on their way to the device, oldest first: the host's memory is read until then. */
  private readonly uploads: Handle[] = [];
  private readonly eventOut = new BigUint64Array(1);
  private readonly global = new BigUint64Array(1);
  private readonly local: BigUint64Array;
  /** The first launch, until it is complete. */
  private trial: Handle | undefined;
  private halting = false;

  constructor(
    private readonly device: OpenClContext,
    options: RoundsOptions,
  ) {
    const { shape, programs } = options;
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
    this.host = new RoundHost(options);
    this.regions = this.host.regions;
    this.buffers = this.host.rounds.map((round) => ({
      packets: device.buffer(round.packetBytes, "packets"),
      params: device.buffer(round.paramBytes, "params"),
      rows: device.buffer(round.rowBytes, "rows"),
    }));
    this.local = BigUint64Array.of(BigInt(shape.workgroupSize));
  }

  get ended(): boolean {
    return this.host.started === this.host.ended && this.uploads.length === 0 && this.trial === undefined;
  }

  launch(now: number): void {
    this.uploadTables(0, this.tableWords);
    this.pace.busy(now);
    this.launchTrial();
  }

  /** A {@link dummyRow}. */
  private launchTrial(): void {
    const { packets, params, rows } = this.buffers[0]!;
    const { cl, queue } = this.device;
    const row = dummyRow(this.shape);
    check(cl.enqueueWrite(queue, rows, 1, 0, row.byteLength, row, 0, null, null) as number, "clEnqueueWriteBuffer");
    this.trial = this.enqueue([packets, params, rows, this.tables], this.shape.workgroupSize, this.eventOut);
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
    if (!this.halting) this.host.register();
    return true;
  }

  step(now: number): number {
    if (!this.hasStarted()) return STARTING_MS;
    const { host, pace } = this;
    let moved = false;
    if (this.uploads.length > 0) this.endUpload();
    if (host.started !== host.ended) moved = this.endRound();
    if (!this.halting && host.started - host.ended < this.buffers.length) moved = this.startRound() || moved;
    if (moved) {
      pace.busy(now);
      return 0;
    }
    const ms = pace.next(now, !this.ended);
    if (ms === 0) yieldCpu();
    return ms;
  }

  private startRound(): boolean {
    const { device, eventOut, host } = this;
    const { cl, queue } = device;
    if (!host.pack()) return false;
    const at = host.started % this.buffers.length;
    const round = host.rounds[at]!;
    const { packets, params, rows } = this.buffers[at]!;
    if (round.packetEnd > 0) this.write(packets, round.packetEnd, round.packetsAt);
    this.write(params, round.paramEnd, round.paramsAt);
    this.write(rows, round.rowEnd, round.rowsAt);
    this.enqueue([packets, params, rows, this.tables], round.count * this.shape.workgroupSize, null);
    if (round.writtenEnd > 0) this.read(packets, round.writtenEnd, round.packetsAt, null);
    this.read(params, round.paramEnd, round.paramsAt, eventOut);
    check(cl.flush(queue) as number, "clFlush");
    this.events[at] = eventOut[0]!;
    host.started++;
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
    const { host } = this;
    const event = this.events[host.ended % this.buffers.length]!;
    const status = this.device.status(event);
    if (status > CL.COMPLETE) return false;
    this.device.cl.releaseEvent(event);
    if (status < 0) {
      host.ended++;
      throw this.failed("a round", status);
    }
    host.end();
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
    this.host.leave();
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
    const { bytesCopied, copyMs, started } = this.host;
    return { bytesCopied, copyMs, launches: started };
  }

  close(): void {
    this.device.close();
    this.host.free();
  }
}
