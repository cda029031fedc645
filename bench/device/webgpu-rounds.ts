/** Rounds of the WebGPU device: the round trip of a row, and what several rounds under way at once are worth. */
import { nf as nidsNf } from "../../nfs/nids/index.js";
import type { DeviceNf } from "../../runtime/device/device.js";
import type { Arena } from "../../runtime/packet/arena.js";
import { type Cell, type CellOptions, type CellResult, type Experiment, Figures, inTurns } from "../experiment.js";
import { usedAdapter } from "./adapter.js";
import { DEPTH, SIZE, withDevice } from "./bed.js";
import { percentile, sumParams } from "./counts.js";
import { Host } from "./host.js";
import { ipsecSubject, type KernelSubject, nidsSubject } from "./kernel-subjects.js";
import { PreparedNf } from "./prepared.js";
import { checkTouch, fillTouch, touchNf } from "./touch.js";

/** The product's usual number on an emulated adapter with two cores. */
const WORKGROUPS = 2;
const SLOTS = 4 * WORKGROUPS * DEPTH * SIZE;
const PASS = { program: "pass", tables: new Uint32Array(1), writes: "params" } as const;
const IN_FLIGHT = [1, 2, 3, 4] as const;
const LEAST_GAIN = 1.2;

async function measureTrips(options: CellOptions): Promise<CellResult> {
  const variants = [1, WORKGROUPS, 8].map((workgroups) => ({
    name: `${workgroups}`,
    turn: async () => {
      const bed = { kind: "webgpu", workgroups, slots: SLOTS, nfs: [PASS], warn: options.warn } as const;
      const { result } = await withDevice(bed, (device, arena) => {
        const host = new Host(device, arena);
        const ns = host.roundTrips(options.turnMs);
        const { packets, seconds } = host.lockStep(workgroups, options.turnMs);
        host.check();
        return {
          p50: percentile(ns, 0.5) / 1e3,
          p99: percentile(ns, 0.99) / 1e3,
          krows: packets / SIZE / seconds / 1e3,
        };
      });
      return result;
    },
  }));
  const samples = await inTurns<"p50" | "p99" | "krows">(variants, options.repeats);
  const figures = new Figures();
  for (const [i, { name }] of variants.entries()) {
    const subject = `${name} workgroup${name === "1" ? "" : "s"}`;
    figures.add(subject, "round trip p50 of a row", "us", samples[i]!.p50);
    figures.add(subject, "round trip p99 of a row", "us", samples[i]!.p99);
    figures.add(subject, "lock-step", "krows/s", samples[i]!.krows);
  }
  return {
    figures: figures.list,
    device: await usedAdapter(),
    notes: ["a kernel that touches nothing, params copied"],
  };
}

/** Packets for a saturating load, all to NF 0, and what shows that they were served. */
interface Load {
  readonly nf: DeviceNf;
  /** @returns how often a check is to be made: after once() for an NF, at the end for kernels that count */
  fill(arena: Arena): { afterOnce?(): void; atEnd?(host: Host): void; close?(): void };
}

function touchLoad(bytes: number, seed: number): Load {
  return {
    nf: touchNf,
    fill(arena) {
      const before = fillTouch(arena, () => bytes, seed);
      return {
        atEnd(host) {
          host.check(sumParams(arena, 0));
          checkTouch(arena, before);
        },
      };
    },
  };
}

function nfLoad(subject: KernelSubject, size: "64" | "1472"): Load {
  const { module, loaded } = subject.nf;
  const { program, writes, tables } = module.gpu!;
  return {
    nf: { program, writes, tables: tables(loaded as never) },
    fill(arena) {
      const prepared = new PreparedNf(subject.nf, subject.frames(size, SLOTS), arena);
      return {
        afterOnce() {
          prepared.verify();
          prepared.restore();
        },
        atEnd: (host) => host.check(),
        close: () => prepared.close(),
      };
    },
  };
}

async function measureInFlight(load: Load, options: CellOptions): Promise<CellResult> {
  const samples = await inTurns<"mpps">(
    IN_FLIGHT.map((inFlight) => ({
      name: `${inFlight}`,
      turn: async () => {
        const bed = { kind: "webgpu", workgroups: WORKGROUPS, slots: SLOTS, nfs: [load.nf], inFlight } as const;
        const { result } = await withDevice({ ...bed, warn: options.warn }, (device, arena) => {
          const filled = load.fill(arena);
          const host = new Host(device, arena);
          host.once();
          filled.afterOnce?.();
          const { packets, seconds } = host.saturate(options.turnMs);
          filled.atEnd?.(host);
          filled.close?.();
          return packets / seconds / 1e6;
        });
        return { mpps: result };
      },
    })),
    options.repeats,
  );
  const figures = new Figures();
  for (const [i, inFlight] of IN_FLIGHT.entries()) {
    figures.add(`${inFlight} round${inFlight === 1 ? "" : "s"} in flight`, "throughput", "Mpps", samples[i]!.mpps);
  }
  for (const [i, inFlight] of IN_FLIGHT.entries()) {
    if (inFlight === 1) continue;
    const least = inFlight === 4 ? { least: LEAST_GAIN, beside: "1.3 in a first trial, quiet" } : {};
    figures.ratio(`${inFlight} in flight / 1`, "throughput", samples[i]!.mpps, samples[0]!.mpps, least);
  }
  const note = `${WORKGROUPS} workgroups of ${SIZE}, queues of ${DEPTH} rows, as much load as the device takes`;
  return { figures: figures.list, device: await usedAdapter(), notes: [note] };
}

const cell = (name: string, run: Cell["run"]): Cell => ({ name, workgroups: 0, needs: "webgpu", run });
const inFlight = (name: string, load: (options: CellOptions) => Load | Promise<Load>): Cell =>
  cell(name, async (options) => measureInFlight(await load(options), options));

const rounds: Experiment = {
  name: "device-webgpu-rounds",
  about: "rounds of the WebGPU device: the round trip of a row, and several rounds under way at once against one",
  cells: (quick) => [
    cell("a row by itself", measureTrips),
    inFlight("rounds in flight, 512 B inverted", ({ seed }) => touchLoad(512, seed)),
    ...(quick
      ? []
      : [
          inFlight(`rounds in flight, ${nidsNf.type}, 64 B`, async (options) =>
            nfLoad(await nidsSubject(options), "64"),
          ),
          inFlight(`rounds in flight, ${nidsNf.type}, 1472 B`, async (options) =>
            nfLoad(await nidsSubject(options), "1472"),
          ),
          inFlight("rounds in flight, ipsec seal, 64 B", async (options) =>
            nfLoad(await ipsecSubject(options, "seal"), "64"),
          ),
        ]),
  ],
};
export const experiments: readonly Experiment[] = [rounds];
