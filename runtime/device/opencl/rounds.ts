/**
 * Devices without fine-grain SVM atomics (NVIDIA's, ROCm's dGPUs; any other on request): the device thread takes the rows that are there,
 * copies packets to the device, launches kernels/rounds.cl, and copies back. Two rounds are under way at once, so that the host packs
 * one while the device serves the other.
 */
import koffi from "koffi";
import { RunError } from "../../errors.js";
import type { DeviceInfo, DeviceReport } from "../device.js";
import { PACKED } from "../packing.js";
import type { QueueShape } from "../queue.js";
import { IN_FLIGHT, Pace, RoundHost, type RoundsOptions } from "../round-host.js";
import type { DeviceServer, SharedRegions } from "../server.js";
import type { OpenClContext } from "./context.js";
import { CL, check, type Handle, statusName } from "./library.js";

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
  /** Of round n modulo IN_FLIGHT, as its event. */
  private readonly buffers: readonly Buffers[];
  private readonly events: (Handle | undefined)[] = [];
  private readonly eventOut = new BigUint64Array(1);
  private readonly global = new BigUint64Array(1);
  private readonly local: BigUint64Array;
  private readonly yieldCpu: () => number;
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
    this.yieldCpu = koffi.load("libc.so.6").func("int sched_yield()");
  }

  get ended(): boolean {
    return this.host.started === this.host.ended;
  }

  launch(now: number): void {
    this.uploadTables(0, this.tableWords);
    this.pace.busy(now);
    this.host.register();
  }

  step(now: number): number {
    const { host, pace } = this;
    let moved = false;
    if (!this.ended) moved = this.endRound();
    if (!this.halting && host.started - host.ended < IN_FLIGHT) moved = this.startRound() || moved;
    if (moved) {
      pace.busy(now);
      return 0;
    }
    const ms = pace.next(now, !this.ended);
    if (ms === 0) this.yieldCpu();
    return ms;
  }

  private startRound(): boolean {
    const { device, kernel, eventOut, global, host } = this;
    const { cl, queue } = device;
    if (!host.pack()) return false;
    const at = host.started % IN_FLIGHT;
    const round = host.rounds[at]!;
    const { packets, params, rows } = this.buffers[at]!;
    if (round.packetEnd > 0) this.write(packets, round.packetEnd, round.packetsAt);
    this.write(params, round.paramEnd, round.paramsAt);
    this.write(rows, round.rowEnd, round.rowsAt);
    device.setBuffers(kernel, [packets, params, rows, this.tables]);
    global[0] = BigInt(round.count * this.shape.workgroupSize);
    const status = cl.enqueueKernel(queue, kernel, 1, null, global, this.local, 0, null, null);
    check(status as number, "clEnqueueNDRangeKernel");
    if (round.writtenEnd > 0) this.read(packets, round.writtenEnd, round.packetsAt, null);
    this.read(params, round.paramEnd, round.paramsAt, eventOut);
    check(cl.flush(queue) as number, "clFlush");
    this.events[at] = eventOut[0]!;
    host.started++;
    return true;
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
    const event = this.events[host.ended % IN_FLIGHT]!;
    const status = this.device.status(event);
    if (status > CL.COMPLETE) return false;
    this.device.cl.releaseEvent(event);
    if (status < 0) {
      host.ended++;
      throw new RunError(
        `device ${this.info.name}`,
        `a round ended with ${statusName(status)}`,
        "a driver's watchdog resets kernels that run for long: use fewer workgroups, or another --device",
      );
    }
    host.end();
    return true;
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
    const status = cl.enqueueWrite(queue, this.tables, 0, 4 * from, 4 * count, source, 0, null, null);
    check(status as number, "clEnqueueWriteBuffer");
  }

  report(): DeviceReport {
    return { bytesCopied: this.host.bytesCopied, launches: this.host.started };
  }

  close(): void {
    this.device.close();
    this.host.free();
  }
}
