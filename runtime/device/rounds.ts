/**
 * GPUSyncer played by a thread of the host, for devices that a running kernel cannot share memory with: it takes all rows that are there,
 * of all queues (a round), has the device serve them, and advances GpuIndex. To the syncers there is no difference.
 */
import { attachRegion, type RegionHandle } from "../packet/memory.js";
import { HOST, lineAt, type QueueShape, rowAt, WG } from "./queue.js";

export class RowTaker {
  private readonly words: Int32Array;
  /** Rows taken, of each queue. */
  private readonly taken: Int32Array;
  /** The queue that is first in the next round. */
  private next = 0;

  constructor(
    queue: RegionHandle,
    private readonly shape: QueueShape,
  ) {
    this.words = new Int32Array(attachRegion(queue).buffer);
    this.taken = new Int32Array(shape.workgroups);
  }

  /** Registers for all queues. */
  register(): void {
    const { words, taken, shape } = this;
    Atomics.store(words, HOST.LAUNCH, 1);
    for (let queue = 0; queue < shape.workgroups; queue++) {
      taken[queue] = Atomics.load(words, lineAt(queue) + WG.GPU_INDEX);
      Atomics.store(words, lineAt(queue) + WG.STARTED, 1);
    }
  }

  /**
   * Takes rows that are published, one of each queue in turn.
   * @param rows gets the word at which each begins; takes no more than it holds
   * @param queues gets the queue of each
   * @returns how many
   */
  take(rows: Uint32Array, queues: Uint16Array): number {
    const { words, taken, shape } = this;
    const { workgroups } = shape;
    let count = 0;
    let found = true;
    while (found && count < rows.length) {
      found = false;
      for (let i = 0; i < workgroups && count < rows.length; i++) {
        const queue = this.next;
        this.next = queue + 1 === workgroups ? 0 : queue + 1;
        const index = taken[queue]!;
        if (Atomics.load(words, lineAt(queue) + WG.CPU_INDEX) === index) continue;
        rows[count] = rowAt(shape, queue, index);
        queues[count++] = queue;
        taken[queue] = index + 1;
        found = true;
      }
    }
    return count;
  }

  /** The first `count` rows of an earlier {@link take} are done; rounds are done in the order they were taken. */
  done(queues: Uint16Array, count: number): void {
    const { words } = this;
    for (let i = 0; i < count; i++) Atomics.add(words, lineAt(queues[i]!) + WG.GPU_INDEX, 1);
  }

  /** Serves no more: says why, as a workgroup does that returns on stop. */
  leave(): void {
    for (let queue = 0; queue < this.shape.workgroups; queue++) Atomics.store(this.words, lineAt(queue) + WG.LEFT, 1);
  }
}
