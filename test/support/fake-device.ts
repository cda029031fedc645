/** A device's shared memory without a device: whoever the test sets to it serves the rows (gpu-syncer.ts). */
import type { DeviceHandle, DeviceNfHandle } from "../../runtime/device/device.js";
import { lineAt, type QueueShape, queueBytes, WG } from "../../runtime/device/queue.js";
import { WAKE_BYTES } from "../../runtime/device/wake.js";
import { mapRegion, unmapRegion } from "../../runtime/packet/memory.js";

export interface FakeDeviceOptions extends QueueShape {
  readonly nfs: readonly DeviceNfHandle[];
  /** Words of the tables' memory. */
  readonly tableWords?: number;
  readonly lockStep?: boolean;
  /** Where CpuIndex and GpuIndex of every queue stand, so that they wrap around. */
  readonly startIndex?: number;
}

export interface FakeDevice {
  readonly handle: DeviceHandle;
  readonly tables: Uint32Array;
  /** Unmaps the memory; neither the handle nor what was made of it may be used afterwards. */
  close(): void;
}

export function fakeDevice(options: FakeDeviceOptions): FakeDevice {
  const { workgroups, workgroupSize, depth, nfs, startIndex = 0 } = options;
  const shape = { workgroups, workgroupSize, depth };
  const queue = mapRegion(queueBytes(shape));
  const tables = mapRegion(4 * (options.tableWords ?? 1));
  const words = new Uint32Array(queue.buffer);
  for (let workgroup = 0; workgroup < workgroups; workgroup++) {
    words[lineAt(workgroup) + WG.CPU_INDEX] = startIndex;
    words[lineAt(workgroup) + WG.GPU_INDEX] = startIndex;
  }
  const plain = ({ address, size, hugePages }: typeof queue) => ({ address, size, hugePages });
  const handle: DeviceHandle = {
    info: { kind: "opencl", name: "memory of a test", emulated: true, persistent: true, zeroCopy: true },
    shape,
    queue: plain(queue),
    tables: plain(tables),
    wake: new SharedArrayBuffer(WAKE_BYTES),
    nfs,
    lockStep: options.lockStep ?? false,
  };
  const close = () => {
    unmapRegion(queue);
    unmapRegion(tables);
  };
  return { handle, tables: new Uint32Array(tables.buffer), close };
}
