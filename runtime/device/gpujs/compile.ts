/** gpu.js in one of its modes: what of it is used, and kernels that are compiled or refused, never replaced by another mode in silence. */
import { setTimeout as delay } from "node:timers/promises";
import { RunError } from "../../errors.js";
import type { AdapterFacts } from "../webgpu/adapter.js";
import type { GpuJsConstants, GpuJsProgram } from "./program.js";

/** Modes in the order they are tried; `webgpu` where it is asked for. */
export const GPUJS_MODES = ["webasm", "cpu", "webgpu"] as const;
export type GpuJsMode = (typeof GPUJS_MODES)[number];

const MOST_ITERATIONS = 4096;
/** ms in which a device that is lost says so: it may refuse a launch before that. */
const TOLD_MS = 20;

type Answers = Float32Array | Promise<Float32Array>;
/** (bytes, entries, stride) for all threads of a launch. */
export type CompiledKernel = (bytes: Float32Array, entries: Float32Array, stride: number) => Answers;

type Shortcut = CompiledKernel & {
  readonly kernel: { readonly constructor: { readonly mode: string } };
  destroy(): void;
};
interface Gpu {
  createKernel(kernel: string, settings: Record<string, unknown>): Shortcut;
  destroy(): Promise<void>;
}

/** A compiled kernel for launches of a fixed number of threads. */
export interface LoadedKernel {
  readonly run: CompiledKernel;
  free(): void;
}

export class GpuJs {
  /** Why the device is lost, in mode webgpu; launches on it fail without a reason. */
  lost: string | undefined;
  private closing = false;

  private constructor(
    private readonly gpu: Gpu,
    readonly mode: GpuJsMode,
    /** What it runs on, and whether a CPU plays it. */
    readonly name: string,
    readonly emulated: boolean,
    private readonly provided: ProvidedAdapter | undefined,
  ) {
    provided?.onLost((reason) => {
      if (!this.closing) this.lost = reason;
    });
  }

  /** @throws RunError where gpu.js, or an adapter for webgpu, is not there */
  static async open(mode: GpuJsMode): Promise<GpuJs> {
    const adapter = mode === "webgpu" ? await provideAdapter() : undefined;
    const gpu = await load(mode);
    const name = `gpu.js ${mode}${adapter === undefined ? "" : ` on ${adapter.facts.name}`}`;
    return new GpuJs(gpu, mode, name, adapter?.facts.emulated ?? true, adapter);
  }

  /** For tests: as if a driver had reset the device. */
  loseDevice(): void {
    this.provided?.destroyDevices();
  }

  /**
   * @param threads of each launch
   * @throws RunError with what gpu.js says of the kernel; in mode webgpu some of it only comes with the first launch
   */
  compile(program: GpuJsProgram, constants: GpuJsConstants, threads: number): LoadedKernel {
    const refuse = (reason: unknown) => kernelError(program, this.mode, reason);
    let made: Shortcut;
    try {
      made = this.gpu.createKernel(textOf(program.kernel), {
        output: [threads],
        constants,
        dynamicArguments: true,
        // A loop that goes on for longer ends there, in silence: a slot has 2048 bytes.
        loopMaxIterations: MOST_ITERATIONS,
        // Its own answer to what a mode cannot do is a line on the console, and the mode cpu.
        onRequestFallback() {
          throw new Error((this as unknown as { fallbackReason?: string }).fallbackReason ?? "it cannot be compiled");
        },
      });
    } catch (error) {
      throw refuse(error);
    }
    const checked = (answers: Float32Array): Float32Array => {
      const { mode } = made.kernel.constructor;
      if (mode !== this.mode) throw refuse(`it would run in mode ${mode}`);
      return answers;
    };
    return {
      run(bytes, entries, stride) {
        let answers: Answers;
        try {
          answers = made(bytes, entries, stride);
        } catch (error) {
          throw refuse(error);
        }
        if (!(answers instanceof Promise)) return checked(answers);
        return answers.then(checked, async (error) => {
          await delay(TOLD_MS);
          throw refuse(error);
        });
      },
      free: () => made.destroy(),
    };
  }

  async close(): Promise<void> {
    this.closing = true;
    await this.gpu.destroy();
  }
}

async function load(mode: GpuJsMode): Promise<Gpu> {
  try {
    const { default: gpujs } = (await import("gpu.js")) as unknown as {
      default: { GPU: new (options: object) => Gpu };
    };
    return new gpujs.GPU({ mode });
  } catch (error) {
    throw new RunError("gpujs", `gpu.js does not load: ${(error as Error).message}`, "npm ci, or use another --device");
  }
}

/** The adapter gpu.js gets, and what becomes of the devices it asks that for. */
interface ProvidedAdapter {
  readonly facts: AdapterFacts;
  onLost(tell: (reason: string) => void): void;
  destroyDevices(): void;
}

/** gpu.js asks navigator.gpu for an adapter: gets the one this program takes. The main thread has called prepareVulkan(). */
async function provideAdapter(): Promise<ProvidedAdapter> {
  const { listAdapters, pickAdapter } = await import("../webgpu/adapter.js");
  const { adapter, facts } = pickAdapter(await listAdapters());
  const devices: GPUDevice[] = [];
  let tell: (reason: string) => void = () => {};
  const requestDevice = adapter.requestDevice.bind(adapter);
  adapter.requestDevice = async (descriptor) => {
    const device = await requestDevice(descriptor);
    devices.push(device);
    device.lost.then(({ reason, message }) => tell(`${reason}${message === "" ? "" : `: ${message}`}`));
    return device;
  };
  const gpu = { requestAdapter: async () => adapter };
  Object.defineProperty(globalThis, "navigator", { value: { gpu }, configurable: true, writable: true });
  return {
    facts,
    onLost(listener) {
      tell = listener;
    },
    destroyDevices() {
      for (const device of devices) device.destroy();
    },
  };
}

/** gpu.js reads the text of a function; that of a method begins with its name. */
function textOf(kernel: GpuJsProgram["kernel"]): string {
  const text = String(kernel);
  return text.startsWith("function") ? text : `function ${text}`;
}

function kernelError(program: GpuJsProgram, mode: GpuJsMode, reason: unknown): RunError {
  const text = reason instanceof Error ? reason.message : String(reason);
  const where = program.where ?? "gpujs";
  return new RunError(where, `gpu.js (mode ${mode}) refuses the kernel: ${text.trim().replaceAll("\n", "\n  ")}`);
}
