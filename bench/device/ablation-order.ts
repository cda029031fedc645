/**
 * Ablation: the paper's order, in which GpuIndex moves before the closing barrier (Hummingbird, Algorithm 1, lines 13 and 14). A checker
 * looks at packets the moment their row is said to be done, and counts those that are not written yet.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { kernelFolder } from "../../runtime/device/kernel-files.js";
import { PARAM_PLACE } from "../../runtime/device/queue.js";
import { Syncer } from "../../runtime/device/syncer.js";
import { RunError } from "../../runtime/errors.js";
import { type Arena, DATA_OFFSET, PARAM_WORDS, SLOT_SIZE } from "../../runtime/packet/arena.js";
import { type Cell, type CellOptions, type CellResult, Figures, inTurns } from "../experiment.js";
import { SIZE, usedDevice, withDevice } from "./bed.js";
import { nowNs } from "./counts.js";

const WORKGROUPS = 2;
const BYTES = 1472;
const LAST_WORD = (DATA_OFFSET + BYTES) / 4 - 1;
const STAMP = { program: "stamp", tables: new Uint32Array(1), writes: "packet" } as const;
/** ms in which a row is certainly written. */
const PATIENCE_MS = 10_000;

/** The closing barrier and what follows it in kernels/syncer.cl. */
const BARRIER = "    work_group_barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE, WB_SCOPE);\n";
const MOVE = "    if (thread == 0 && serves) wb_store_release(line + WB_GPU_INDEX, index);\n";

/** kernels/syncer.cl with nothing changed but the order, so that nothing else can be the reason. */
export function earlyIndex(source: string): string {
  const move = source.indexOf(MOVE);
  const barrier = source.lastIndexOf(BARRIER, move);
  if (barrier < 0) {
    throw new RunError(
      "bench",
      "kernels/syncer.cl has another form than this ablation knows",
      "mend ablation-order.ts",
    );
  }
  const between = source.slice(barrier + BARRIER.length, move);
  return source.slice(0, barrier) + between + MOVE + BARRIER + source.slice(move + MOVE.length);
}

/** @returns packets seen, and those of them that were not written when their row was said to be done */
function watch(syncer: Syncer, arena: Arena, ms: number): { readonly packets: number; readonly early: number } {
  const { u32, params } = arena;
  const slots = Uint32Array.from({ length: SIZE }, (_, i) => i);
  const out = new Uint32Array(SIZE);
  const end = nowNs() + ms * 1e6;
  let stamp = 0;
  let early = 0;
  while (nowNs() < end) {
    stamp++;
    for (let slot = 0; slot < SIZE; slot++) params[slot * PARAM_WORDS + 1] = stamp;
    syncer.add(0, slots, 0, SIZE);
    const limit = nowNs() + PATIENCE_MS * 1e6;
    while (syncer.publish(nowNs(), true) === 0 || syncer.waiting > 0) expectProgress(limit);
    while (syncer.collect(out) === 0) expectProgress(limit);
    // The last thread's packet first: it is the one that is late.
    for (let i = SIZE - 1; i >= 0; i--) if (lastWord(u32, out[i]!) !== stamp) early++;
    // What is late must come before the next row is made of the same packets.
    for (let i = 0; i < SIZE; i++) while (lastWord(u32, out[i]!) !== stamp) expectProgress(limit);
  }
  return { packets: stamp * SIZE, early };
}

const lastWord = (u32: Uint32Array, slot: number) => Atomics.load(u32, slot * (SLOT_SIZE / 4) + LAST_WORD);

function expectProgress(limit: number): void {
  if (nowNs() > limit) throw new RunError("bench", `a row was not written within ${PATIENCE_MS / 1000} s`);
}

async function measure(options: CellOptions): Promise<CellResult> {
  const folder = join(options.scratch, "early-index");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "syncer.cl"), earlyIndex(readFileSync(join(kernelFolder(), "syncer.cl"), "utf8")));
  const bed = { workgroups: WORKGROUPS, slots: SIZE, nfs: [STAMP], warn: options.warn };
  const order = (name: string, variant: { variant?: string }) => ({
    name,
    turn: async () => {
      const { result } = await withDevice({ ...bed, ...variant }, (device, arena) => {
        for (let slot = 0; slot < SIZE; slot++) {
          arena.params[slot * PARAM_WORDS + PARAM_PLACE] = DATA_OFFSET | (BYTES << 16);
        }
        const workgroups = Array.from({ length: WORKGROUPS }, (_, i) => i);
        const syncer = new Syncer(device.handle, arena, workgroups, new Float64Array(3), 0);
        return watch(syncer, arena, options.turnMs);
      });
      return result;
    },
  });
  const [product, paper] = await inTurns<"packets" | "early">(
    [order("product", {}), order("paper", { variant: folder })],
    options.repeats,
  );
  const wrong = product!.early.find((count) => count > 0);
  if (wrong !== undefined) {
    throw new RunError("bench", `${wrong} packets were not written when GpuIndex said so`, "report this as a bug");
  }
  const figures = new Figures();
  const rows = [
    ["GpuIndex after the barrier (the product)", product!],
    ["GpuIndex before the barrier (the paper's)", paper!],
  ] as const;
  for (const [name, { packets, early }] of rows) {
    figures.add(name, "packets looked at", "packets", packets);
    figures.add(
      name,
      "not written when said to be done",
      "% of packets",
      early.map((count, turn) => (100 * count) / packets[turn]!),
    );
  }
  return { figures: figures.list, device: usedDevice(), notes: [`a kernel that writes ${BYTES} bytes of each packet`] };
}

export function orderCells(): Cell[] {
  return [{ name: "order of GpuIndex and barrier", workgroups: WORKGROUPS, run: measure }];
}
