/**
 * Random packets through a device by way of a syncer, with the kernels of test/kernels; each that comes back is compared with what the
 * host computes, byte for byte over its whole slot.
 */
import { fileURLToPath } from "node:url";
import type { Device, DeviceNf, DeviceNfHandle, DeviceReport } from "../../runtime/device/device.js";
import { type DeviceOptions, openDevice } from "../../runtime/device/open.js";
import { HOST, lineAt, PARAM_PLACE, WG } from "../../runtime/device/queue.js";
import { Syncer } from "../../runtime/device/syncer.js";
import { Arena, PARAM_WORDS, SLOT_SIZE } from "../../runtime/packet/arena.js";
import { attachRegion } from "../../runtime/packet/memory.js";
import type { Random } from "./random.js";

/** test/kernels, from dist/test/support. */
export const TEST_KERNELS = fileURLToPath(new URL("../../../test/kernels", import.meta.url));

/** Tables of the test kernels: what mark adds to each byte, what sum adds to each sum. */
export function testTable(mark: number, sum: number): Uint32Array {
  return Uint32Array.of(mark, sum, 0, 0);
}

/** NF 0 writes packets, NF 1 writes params, NF 2 is NF 0's kernel with a table of its own. */
export const TEST_NFS: readonly DeviceNf[] = [
  { program: "mark", writes: "packet", tables: testTable(3, 1000) },
  { program: "sum", writes: "params", tables: testTable(5, 7) },
  { program: "mark", writes: "packet", tables: testTable(200, 9) },
];

export function openTestDevice(options: Partial<DeviceOptions> = {}): Promise<Device> {
  return openDevice({
    kind: "opencl",
    slots: 4096,
    nfs: TEST_NFS,
    kernelFolders: [TEST_KERNELS],
    warn: (line) => console.log(line),
    ...options,
  });
}

/** Opens, starts, hands over, stops and closes. */
export async function withTestDevice(
  random: Random,
  options: Partial<DeviceOptions>,
  use: (load: DeviceLoad, started: number) => void | Promise<void>,
  prepare: (words: Int32Array) => void = () => {},
): Promise<{ load: DeviceLoad; report: DeviceReport; device: Device }> {
  const device = await openTestDevice(options);
  prepare(new Int32Array(attachRegion(device.handle.queue).buffer));
  try {
    const started = await device.start();
    const load = new DeviceLoad(device, random);
    await use(load, started);
    const report = await device.stop();
    return { load, report, device };
  } finally {
    await device.close();
  }
}

/** Index words near their ends, for `prepare`: a few rows before 2^32 and before 2^31. */
export function nearTheEnd(words: Int32Array): void {
  for (const [workgroup, index] of [0xffff_fff0, 0x7fff_fff8].entries()) {
    words[lineAt(workgroup) + WG.CPU_INDEX] = index;
    words[lineAt(workgroup) + WG.GPU_INDEX] = index;
  }
}

const LIMIT_MS = 120_000;

/** The table of an NF, and the one before, which packets of a number below `since` may have met. */
interface NfState {
  readonly handle: DeviceNfHandle;
  readonly table: Uint32Array;
  readonly before: Uint32Array;
  readonly since: number;
}

export class DeviceLoad {
  readonly arena: Arena;
  readonly syncer: Syncer;
  /** Rows, packets, dummies. */
  readonly counters = new Float64Array(3);
  /** Bytes that a device which copies has to have copied, both ways. */
  copied = 0;
  /** Packets that came back as they should. */
  checked = 0;
  private readonly nfs: NfState[];
  /** Packets added so far. */
  private serial = 0;
  /** Of each slot: the number of the packet in it, -1 where there is none; its NF; slot and params as they were. */
  private readonly packet: Float64Array;
  private readonly nf: Uint8Array;
  private readonly bytes: Uint8Array;
  private readonly params: Uint32Array;
  private readonly free: number[];
  /** Old tables, and the number of the first packet that cannot have met them. */
  private readonly retired: { handle: DeviceNfHandle; before: number }[] = [];
  private readonly out: Uint32Array;
  private readonly one = new Uint32Array(1);
  private readonly sleeping = new Int32Array(new SharedArrayBuffer(4));
  private idle = 0;

  constructor(
    readonly device: Device,
    private readonly random: Random,
    slots = 4096,
  ) {
    const { handle } = device;
    this.arena = Arena.attach({ slots, region: device.arena, owned: false });
    const queues = new Int32Array(attachRegion(handle.queue).buffer)[HOST.QUEUES]!;
    const workgroups = Array.from({ length: queues }, (_, i) => i);
    this.syncer = new Syncer(handle, this.arena, workgroups, this.counters, 0);
    this.nfs = TEST_NFS.map(({ tables }, i) => ({ handle: handle.nfs[i]!, table: tables, before: tables, since: 0 }));
    this.packet = new Float64Array(slots).fill(-1);
    this.nf = new Uint8Array(slots);
    this.bytes = new Uint8Array(slots * SLOT_SIZE);
    this.params = new Uint32Array(slots * PARAM_WORDS);
    this.free = Array.from({ length: slots }, (_, i) => i);
    this.out = new Uint32Array(slots);
    // Random once: a packet is what the one before it left behind, in another place.
    const some = random.bytes(64 * 1024);
    for (let at = 0; at < slots * SLOT_SIZE; at += some.length) {
      this.arena.u8.set(some.subarray(0, Math.min(some.length, slots * SLOT_SIZE - at)), at);
    }
  }

  /** Sends packets to random NFs, and waits until all are back. */
  run(packets: number): void {
    const { random } = this;
    const deadline = performance.now() + LIMIT_MS;
    for (let left = packets; left > 0 || this.away > 0; ) {
      for (let burst = random.int(0, 300); burst > 0 && left > 0 && this.free.length > 0; burst--, left--) this.add();
      this.pump(left === 0 || random.chance(0.1));
      if (performance.now() > deadline) throw new Error(`stuck: ${this.state()}`);
    }
  }

  /** Packets that have been added and are not back. */
  get away(): number {
    return this.packet.length - this.free.length;
  }

  /** Where every queue stands, for messages. */
  state(): string {
    const { handle } = this.device;
    const words = new Uint32Array(attachRegion(handle.queue).buffer);
    const lines = Array.from({ length: handle.shape.workgroups }, (_, i) => {
      const at = lineAt(i);
      const [cpu, gpu, started] = [words[at + WG.CPU_INDEX], words[at + WG.GPU_INDEX], words[at + WG.STARTED]];
      return `workgroup ${i}: CpuIndex ${cpu}, GpuIndex ${gpu}, started ${started}`;
    });
    return `${this.syncer.waiting} wait, ${this.syncer.inFlight} in flight; ${lines.join("; ")}`;
  }

  /** One packet: any place within a slot, of any length, none and nearly the whole slot among them. */
  add(nf = this.random.int(0, TEST_NFS.length - 1)): number {
    const { arena, random } = this;
    const slot = this.free.pop()!;
    const bytes = random.chance(0.05) ? random.int(0, SLOT_SIZE - 1) : random.int(0, 200);
    const first = random.int(0, SLOT_SIZE - 1 - bytes);
    const at = slot * SLOT_SIZE;
    const params = slot * PARAM_WORDS;
    for (let i = 0; i < PARAM_WORDS; i++) arena.params[params + i] = random.u32();
    arena.params[params + 1] = 0;
    arena.params[params + 2] = 0;
    arena.params[params + PARAM_PLACE] = first | (bytes << 16);
    this.bytes.set(arena.u8.subarray(at, at + SLOT_SIZE), at);
    this.params.set(arena.params.subarray(params, params + PARAM_WORDS), params);
    this.nf[slot] = nf;
    this.packet[slot] = this.serial++;
    this.copied += (TEST_NFS[nf]!.writes === "packet" ? 2 : 1) * bytes + 2 * 4 * PARAM_WORDS;
    this.one[0] = slot;
    this.syncer.add(nf, this.one, 0, 1);
    return slot;
  }

  /** Publishes and collects once; sleeps a little where nothing has moved for a while. */
  pump(idle: boolean): void {
    const { syncer, out } = this;
    const rows = syncer.publish(performance.now() * 1e6, idle);
    const count = syncer.collect(out);
    for (let i = 0; i < count; i++) this.back(out[i]!);
    if (count > 0 && this.retired.length > 0) this.retire();
    if (rows + count > 0) this.idle = 0;
    else if (++this.idle > 20) Atomics.wait(this.sleeping, 0, 0, 0.05);
  }

  /**
   * After a stop: what has been served is collected and checked, the rest taken back; it has to be as it was.
   * @returns packets that were not served
   */
  takeBack(): number {
    const { syncer, out } = this;
    for (let count = syncer.collect(out); count > 0; count = syncer.collect(out)) {
      for (let i = 0; i < count; i++) this.back(out[i]!);
    }
    let unserved = 0;
    for (let count = syncer.abandon(out); count > 0; count = syncer.abandon(out)) {
      for (let i = 0; i < count; i++) {
        const slot = out[i]!;
        const problem = this.compare(slot, this.bytesOf(slot), this.paramsOf(slot));
        if (problem !== "") throw new Error(`slot ${slot}, which was not served: ${problem}`);
        this.packet[slot] = -1;
        this.free.push(slot);
      }
      unserved += count;
    }
    if (this.away > 0) throw new Error(`${this.away} packets are left`);
    return unserved;
  }

  private back(slot: number): void {
    this.check(slot);
    this.packet[slot] = -1;
    this.free.push(slot);
  }

  /** Gives an NF another table while packets are on their way, and more are added; packets added before may meet either. */
  async swap(nf: number, table: Uint32Array): Promise<void> {
    let handle: DeviceNfHandle | undefined;
    const swapped = this.device.swapTable(nf, table).then((value) => {
      handle = value;
    });
    while (handle === undefined) {
      while (this.free.length > 1000) this.add();
      this.pump(false);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await swapped;
    const state = this.nfs[nf]!;
    this.retired.push({ handle: state.handle, before: this.serial });
    this.nfs[nf] = { handle, table, before: state.table, since: this.serial };
    this.syncer.useTable(nf, handle.table);
  }

  /** Frees the tables that no packet on its way can meet. */
  private retire(): void {
    const oldest = this.packet.reduce((least, serial) => (serial >= 0 && serial < least ? serial : least), this.serial);
    while (this.retired.length > 0 && this.retired[0]!.before <= oldest) {
      this.device.freeTable(this.retired.shift()!.handle);
    }
  }

  /** @throws Error where a packet that came back is not what its NF makes of it */
  private check(slot: number): void {
    const serial = this.packet[slot]!;
    const nf = this.nf[slot]!;
    const { table, before, since } = this.nfs[nf]!;
    let problem = serial < 0 ? "it was not on its way" : this.difference(slot, nf, table);
    if (problem !== "" && serial >= 0 && serial < since) problem = this.difference(slot, nf, before);
    if (problem !== "") throw new Error(`packet ${serial} in slot ${slot}, NF ${nf}: ${problem}`);
    this.checked++;
  }

  /** The reference: what the kernels of test/kernels do, one byte after the other. */
  private difference(slot: number, nf: number, table: Uint32Array): string {
    const expected = this.bytesOf(slot);
    const params = this.paramsOf(slot);
    const first = params[PARAM_PLACE]! & 0xffff;
    const bytes = params[PARAM_PLACE]! >>> 16;
    const mark = TEST_NFS[nf]!.program === "mark";
    let sum = mark ? 0 : table[1]!;
    for (let i = first; i < first + bytes; i++) {
      sum += expected[i]!;
      if (mark) expected[i] = expected[i]! + table[0]!;
    }
    params[0] = sum;
    params[1] = 1;
    params[3] = mark ? 7 * 256 + 11 : 13;
    return this.compare(slot, expected, params);
  }

  /** The slot and its params as they were when the packet was added. */
  private bytesOf(slot: number): Uint8Array {
    return this.bytes.slice(slot * SLOT_SIZE, (slot + 1) * SLOT_SIZE);
  }

  private paramsOf(slot: number): Uint32Array {
    return this.params.slice(slot * PARAM_WORDS, (slot + 1) * PARAM_WORDS);
  }

  private compare(slot: number, expected: Uint8Array, params: Uint32Array): string {
    const { arena } = this;
    const place = `PLACE ${params[PARAM_PLACE]! & 0xffff} + ${params[PARAM_PLACE]! >>> 16}`;
    for (let i = 0; i < PARAM_WORDS; i++) {
      const found = arena.params[slot * PARAM_WORDS + i]!;
      if (found !== params[i]) return `params[${i}] is ${found}, not ${params[i]}; ${place}`;
    }
    for (let i = 0; i < SLOT_SIZE; i++) {
      const found = arena.u8[slot * SLOT_SIZE + i]!;
      if (found !== expected[i]) return `byte ${i} is ${found}, not ${expected[i]}; ${place}`;
    }
    return "";
  }
}
