/** Runs one NF's kernel over slots of an arena by gpu.js, launch by launch: the sibling of kernel-runner.ts and wgsl-runner.ts. */
import { GpuJs, type GpuJsMode } from "../../runtime/device/gpujs/compile.js";
import { Launch } from "../../runtime/device/gpujs/launch.js";
import { type GpuJsProgram, importGpuJs } from "../../runtime/device/gpujs/program.js";
import { DUMMY, ROW_HEADER } from "../../runtime/device/queue.js";
import { prepareVulkan } from "../../runtime/device/webgpu/library.js";
import { Arena } from "../../runtime/packet/arena.js";

const SIZE = 64;
const ROWS = 16;

export class GpuJsRunner {
  private readonly launches = new Map<number, Launch>();
  private readonly queue = new Uint32Array(ROWS * (ROW_HEADER + SIZE));

  private constructor(
    readonly arena: Arena,
    private readonly gpu: GpuJs,
    private readonly program: GpuJsProgram,
    private readonly tables: Uint32Array,
  ) {}

  static async open(mode: GpuJsMode, program: string, tables: Uint32Array, slots: number): Promise<GpuJsRunner> {
    if (mode === "webgpu") prepareVulkan();
    return new GpuJsRunner(Arena.create(slots), await GpuJs.open(mode), await importGpuJs(program), tables);
  }

  private launchFor(table: number): Launch {
    let launch = this.launches.get(table);
    if (launch === undefined) {
      // One at a time: tables of a router are 64 MiB here, and more once compiled.
      for (const other of this.launches.values()) other.free();
      this.launches.clear();
      const shape = { workgroups: 1, workgroupSize: SIZE, depth: ROWS };
      launch = new Launch(this.gpu, this.program, this.tables.subarray(table), this.arena, shape, ROWS * SIZE);
      this.launches.set(table, launch);
    }
    return launch;
  }

  async run(slots: Uint32Array, count: number, from = 0, table = 0): Promise<void> {
    const words = ROW_HEADER + SIZE;
    const launch = this.launchFor(table);
    const groups = Math.ceil((from + count) / SIZE);
    for (let first = 0; first < groups; first += ROWS) {
      const rows: number[] = [];
      for (let g = first; g < Math.min(groups, first + ROWS); g++) {
        const row = (g - first) * words;
        rows.push(row);
        for (let t = 0; t < SIZE; t++) {
          const i = g * SIZE + t - from;
          this.queue[row + ROW_HEADER + t] = i >= 0 && i < count ? slots[i]! : DUMMY;
        }
      }
      launch.collect(await launch.run(this.queue, rows));
    }
  }

  async close(): Promise<void> {
    for (const launch of this.launches.values()) launch.free();
    await this.gpu.close();
    this.arena.free();
  }
}
