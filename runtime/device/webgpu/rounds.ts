/**
 * The WebGPU device: the device thread takes the rows that are there of all NFs, copies packets to the device, has kernels/rounds.wgsl
 * serve them, and copies back, all in one submit. Two rounds are under way at once. Buffers are mapped for the host by promises, which
 * settle while the thread's event loop turns: that is what {@link WebGpuRounds.pending} asks for.
 */
import { RunError } from "../../errors.js";
import { yieldCpu } from "../../native/yield-cpu.js";
import { PARAM_WORDS } from "../../packet/arena.js";
import { attachRegion } from "../../packet/memory.js";
import type { DeviceInfo, DeviceReport } from "../device.js";
import type { QueueShape } from "../queue.js";
import { dummyRow, Pace, type RoundHost } from "../round-host.js";
import type { DeviceServer, SharedRegions } from "../server.js";
import type { OpenedGpu } from "./adapter.js";
import type { Resources } from "./resources.js";
import { writeWords } from "./upload.js";

/** ms between looks at the first launch, beside the turns of the event loop. */
const STARTING_MS = 1;
const DEVICE_REMEDY = "a driver resets kernels that run for long: use fewer workgroups, or another --device";

export class WebGpuRounds implements DeviceServer {
  readonly info: DeviceInfo;
  readonly lockStep: boolean;
  readonly resident: number;
  readonly regions: SharedRegions;
  private readonly device: GPUDevice;
  private readonly pace = new Pace();
  private readonly tables: Uint32Array;
  /** Rounds under way at most. */
  private readonly inFlight: number;
  /** Of round n modulo inFlight: the host may fill `up`; `back` has arrived. */
  private readonly writable: Uint8Array;
  private readonly arrived: Uint8Array;
  /** The first launch: under way, and complete. */
  private trying = false;
  private readonly tried = new Uint8Array(1);
  /** Promises that have not settled. */
  private open = 0;
  private failure: RunError | undefined;
  private halting = false;
  private closing = false;

  constructor(
    { device, facts }: OpenedGpu,
    readonly shape: QueueShape,
    private readonly host: RoundHost,
    private readonly resources: Resources,
    private readonly loseAfter: number | undefined,
  ) {
    const { name, emulated } = facts;
    this.device = device;
    this.inFlight = host.rounds.length;
    this.writable = new Uint8Array(this.inFlight).fill(1);
    this.arrived = new Uint8Array(this.inFlight);
    this.info = { kind: "webgpu", name, emulated, persistent: false, zeroCopy: false };
    this.lockStep = !emulated;
    this.resident = shape.workgroups;
    this.regions = host.regions;
    const { tables } = host.regions;
    this.tables = new Uint32Array(attachRegion(tables).buffer, 0, resources.tables.size / 4);
    device.lost.then(({ reason, message }) => {
      if (!this.closing) this.fail(`it is lost (${reason}${message === "" ? "" : `: ${message}`})`);
    });
    // What no error scope looks after: submits in mid-run.
    device.addEventListener("uncapturederror", (event) => this.fail(`its driver reports: ${event.error.message}`));
  }

  get ended(): boolean {
    return this.failure !== undefined || (this.host.started === this.host.ended && !this.trying);
  }

  get pending(): boolean {
    // Rounds that have arrived are still to be taken from the driver.
    return this.open > 0 || (this.failure === undefined && this.host.started !== this.host.ended);
  }

  /** The first of several reasons is the one. */
  private fail(problem: string): void {
    this.failure ??= new RunError(`device ${this.info.name}`, `${problem}; ${this.host.inFlight()}`, DEVICE_REMEDY);
  }

  launch(now: number): void {
    this.uploadTables(0, this.tables.length);
    this.pace.busy(now);
    this.launchTrial();
  }

  /** A {@link dummyRow}. Its params are copied back, since the copy comes after the shader. */
  private launchTrial(): void {
    const { device } = this;
    const { rows, params, back, bindings } = this.resources.rounds[0]!;
    const bytes = 4 * PARAM_WORDS;
    device.queue.writeBuffer(rows, 0, dummyRow(this.shape));
    const encoder = device.createCommandEncoder();
    this.dispatch(encoder, bindings, 1);
    encoder.copyBufferToBuffer(params, 0, back, 0, bytes);
    device.queue.submit([encoder.finish()]);
    this.trying = true;
    this.settle(back.mapAsync(GPUMapMode.READ, 0, bytes), this.tried, 0);
    if (this.loseAfter === 0) device.destroy();
  }

  /** Registers once the first launch is complete. @returns false until then */
  private hasStarted(): boolean {
    if (!this.trying) return true;
    if (this.tried[0] === 0) return false;
    this.resources.rounds[0]!.back.unmap();
    this.trying = false;
    if (!this.halting) this.host.register();
    return true;
  }

  private dispatch(encoder: GPUCommandEncoder, bindings: GPUBindGroup, rows: number): void {
    const pass = encoder.beginComputePass();
    pass.setPipeline(this.resources.pipeline);
    pass.setBindGroup(0, bindings);
    pass.dispatchWorkgroups(rows);
    pass.end();
  }

  step(now: number): number {
    if (this.failure !== undefined) throw this.failure;
    const { host, pace } = this;
    if (!this.halting && host.stopRaised) this.halt();
    if (!this.hasStarted()) return STARTING_MS;
    let moved = false;
    if (!this.ended) moved = this.endRound();
    if (!this.halting && host.started - host.ended < this.inFlight) moved = this.startRound() || moved;
    if (moved) {
      pace.busy(now);
      return 0;
    }
    const ms = pace.next(now, !this.ended);
    if (ms === 0 || this.pending) yieldCpu();
    return ms;
  }

  private startRound(): boolean {
    const { device, host } = this;
    const at = host.started % this.inFlight;
    if (this.writable[at] === 0 || !host.pack()) return false;
    const round = host.rounds[at]!;
    const { packets, params, rows, up, back, bindings } = this.resources.rounds[at]!;
    const { memory, packetBytes, paramBytes, rowBytes, packetEnd, paramEnd, rowEnd, writtenEnd, ahead } = round;
    const rowsFrom = packetBytes + paramBytes;
    const rowsTo = packetEnd + paramEnd;
    const since = performance.now();
    const end = rowsTo + rowEnd;
    const more = ahead?.count ?? 0;
    const mapped = new Uint8Array(up.getMappedRange(0, end + (more > 0 ? ahead!.upBytes : 0)));
    mapped.set(memory.subarray(0, packetEnd));
    mapped.set(memory.subarray(packetBytes, packetBytes + paramEnd), packetEnd);
    mapped.set(memory.subarray(rowsFrom, rowsFrom + rowEnd), rowsTo);
    if (more > 0) ahead!.putInto(mapped, end);
    up.unmap();
    host.copyMs += performance.now() - since;
    const encoder = device.createCommandEncoder();
    if (packetEnd > 0) encoder.copyBufferToBuffer(up, 0, packets, 0, packetEnd);
    encoder.copyBufferToBuffer(up, packetEnd, params, 0, paramEnd);
    encoder.copyBufferToBuffer(up, rowsTo, rows, 0, rowEnd);
    if (more > 0) encoder.copyBufferToBuffer(up, end, rows, rowBytes + ahead!.upFrom, ahead!.upBytes);
    this.dispatch(encoder, bindings, round.count);
    if (writtenEnd > 0) encoder.copyBufferToBuffer(packets, 0, back, 0, writtenEnd);
    encoder.copyBufferToBuffer(params, 0, back, writtenEnd, paramEnd);
    let backEnd = writtenEnd + paramEnd;
    if (more > 0) {
      const { pathsFrom, pathBytes, keptFrom, keptBytes } = ahead!;
      encoder.copyBufferToBuffer(params, paramBytes + pathsFrom, back, backEnd, pathBytes);
      encoder.copyBufferToBuffer(params, paramBytes + keptFrom, back, backEnd + pathBytes, keptBytes);
      backEnd += pathBytes + keptBytes;
    }
    device.queue.submit([encoder.finish()]);
    this.writable[at] = 0;
    this.settle(up.mapAsync(GPUMapMode.WRITE), this.writable, at);
    this.settle(back.mapAsync(GPUMapMode.READ, 0, backEnd), this.arrived, at);
    host.started++;
    if (host.started === this.loseAfter) device.destroy();
    return true;
  }

  /** Sets a flag once a buffer is mapped. Where a device is lost all of them are refused, without a reason; `lost` has one. */
  private settle(mapped: Promise<undefined>, flags: Uint8Array, at: number): void {
    this.open++;
    mapped.then(
      () => {
        this.open--;
        flags[at] = 1;
      },
      (error: Error) => {
        this.open--;
        if (error.message !== "") this.fail(`a buffer cannot be mapped: ${error.message}`);
      },
    );
  }

  /** The oldest round, where its copies are here: submits run in order. */
  private endRound(): boolean {
    const { host } = this;
    const at = host.ended % this.inFlight;
    if (this.arrived[at] === 0) return false;
    this.arrived[at] = 0;
    const { memory, packetBytes, writtenEnd, paramEnd, ahead } = host.rounds[at]!;
    const { back } = this.resources.rounds[at]!;
    const since = performance.now();
    const end = writtenEnd + paramEnd;
    const more = ahead?.count ?? 0;
    const mapped = new Uint8Array(back.getMappedRange(0, end + (more > 0 ? ahead!.backBytes : 0)));
    memory.set(mapped.subarray(0, writtenEnd));
    memory.set(mapped.subarray(writtenEnd, end), packetBytes);
    if (more > 0) ahead!.takeFrom(mapped, end);
    back.unmap();
    host.copyMs += performance.now() - since;
    host.end();
    return true;
  }

  halt(): void {
    this.halting = true;
    this.host.leave();
  }

  uploadTables(from: number, count: number): void {
    // Copied before writeWords returns, so that nothing reads the memory later. What is submitted later comes later, and so do rows that
    // name the table.
    if (count > 0) writeWords(this.device.queue, this.resources.tables, from, this.tables.subarray(from, from + count));
  }

  report(): DeviceReport {
    const { bytesCopied, copyMs, started } = this.host;
    return { bytesCopied, copyMs, launches: started };
  }

  close(): void {
    this.closing = true;
    this.device.destroy();
    this.host.free();
  }
}
