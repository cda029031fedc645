/**
 * NVIDIA GPUs by NVML, the driver's own library (libnvidia-ml.so.1, NVML API reference): `nvmlDeviceGetTotalEnergyConsumption`, millijoules since
 * the driver was loaded (Volta and later), else `nvmlDeviceGetPowerUsage`, milliwatts. What is measured is the whole card, its memory included.
 */
import koffi from "koffi";
import { RunError } from "../../errors.js";
import { CounterAccumulator, PowerAccumulator } from "./accumulate.js";
import { type FoundMeter, missingMeter, type OpenOptions } from "./found.js";
import { type Channel, type Clock, PolledSource, type Source } from "./source.js";

/** Power is sampled so often, ms. */
const INTERVAL_MS = 100;
/** What a driver takes for an update at most, ms (Yang, Adamek, Armour: Part-time Power Measurements, 2023). */
const UPDATE_MS = 100;
/** Readings of power are means of a second since Ampere (NVML API reference, nvmlDeviceGetPowerUsage). */
const LAG_MS = 1000;
const SUCCESS = 0;
const NAME_BYTES = 96;
const NO_GPU = "no GPU reports energy or power";

export const NVML = "libnvidia-ml.so.1";

/** One GPU that can be measured. */
export interface NvmlGpu {
  /** "gpu-0 NVIDIA L4" */
  readonly name: string;
  readonly counts: "energy" | "power";
}

interface ReadableGpu extends NvmlGpu {
  /** mJ or mW. @throws RunError where it does not answer */
  read(): number;
}

type Call = (...args: unknown[]) => number;

/** NVML, initialised. Main thread only. */
export class Nvml {
  private readonly energyOf: Call;
  private readonly powerOf: Call;
  private readonly nameOf: Call;
  private readonly shutdown: Call;
  private readonly errorString: (code: number) => string;
  private readonly handles: unknown[] = [];

  /** @throws RunError where the library does not load, or the driver does not answer it */
  constructor(path: string) {
    try {
      const library = koffi.load(path);
      this.errorString = library.func("const char *nvmlErrorString(int result)") as (code: number) => string;
      this.energyOf = library.func("int nvmlDeviceGetTotalEnergyConsumption(void *device, _Out_ uint64_t *mJ)") as Call;
      this.powerOf = library.func("int nvmlDeviceGetPowerUsage(void *device, _Out_ uint32_t *mW)") as Call;
      this.nameOf = library.func("int nvmlDeviceGetName(void *device, _Out_ uint8_t *name, uint32_t bytes)") as Call;
      this.shutdown = library.func("int nvmlShutdown()") as Call;
      const init = library.func("int nvmlInit_v2()") as Call;
      const count = library.func("int nvmlDeviceGetCount_v2(_Out_ uint32_t *count)") as Call;
      const at = library.func("int nvmlDeviceGetHandleByIndex_v2(uint32_t index, _Out_ void **device)") as Call;
      this.check("nvmlInit_v2", init());
      const devices = [0];
      this.check("nvmlDeviceGetCount_v2", count(devices));
      for (let index = 0; index < devices[0]!; index++) {
        const handle: unknown[] = [null];
        // A GPU this user may not have is none of ours.
        if (at(index, handle) === SUCCESS) this.handles.push(handle[0]);
      }
    } catch (error) {
      if (error instanceof RunError) throw error;
      throw new RunError("NVML", `${path} cannot be used: ${(error as Error).message}`, "mend the NVIDIA driver");
    }
  }

  private check(what: string, code: number): void {
    if (code === SUCCESS) return;
    const problem = `${what}: ${this.errorString(code)} (${code}); the meter does not answer`;
    throw new RunError("NVML", problem, "nvidia-smi shows what the driver lacks; or use another --meter");
  }

  /** Those that can be measured. */
  gpus(): ReadableGpu[] {
    return this.handles.flatMap((handle, index): ReadableGpu[] => {
      const name = `gpu-${index} ${this.name(handle)}`;
      const read = (call: Call, what: string) => () => {
        const value = [0];
        this.check(`${name}: ${what}`, call(handle, value));
        return Number(value[0]);
      };
      const value = [0];
      if (this.energyOf(handle, value) === SUCCESS)
        return [{ name, counts: "energy", read: read(this.energyOf, "nvmlDeviceGetTotalEnergyConsumption") }];
      if (this.powerOf(handle, value) === SUCCESS)
        return [{ name, counts: "power", read: read(this.powerOf, "nvmlDeviceGetPowerUsage") }];
      return [];
    });
  }

  private name(handle: unknown): string {
    const bytes = Buffer.alloc(NAME_BYTES);
    if (this.nameOf(handle, bytes, NAME_BYTES) !== SUCCESS) return "NVIDIA";
    return bytes.toString("latin1", 0, bytes.indexOf(0));
  }

  close(): void {
    this.shutdown();
  }
}

/**
 * Asks the driver, in this process.
 * @param path of the library; undefined where the system has none
 */
export function findNvml(path: string | undefined): FoundMeter {
  const common = { area: "energy", name: "NVML (NVIDIA)" } as const;
  if (path === undefined) return missingMeter({ ...common, state: "missing", detail: "no NVIDIA driver" });
  try {
    const nvml = new Nvml(path);
    const gpus = nvml.gpus();
    nvml.close();
    if (gpus.length === 0) return missingMeter({ ...common, state: "missing", detail: NO_GPU });
    const detail = gpus.map(({ name, counts }) => `${name} (${counts})`).join(", ");
    const open = async ({ clock }: OpenOptions) => openNvml(path, clock);
    return { finding: { ...common, state: "ok", detail }, covers: ["gpu-nvidia"], open };
  } catch (error) {
    if (!(error instanceof RunError)) throw error;
    const [problem, remedy] = error.message.replace(/^NVML: /, "").split("\n  remedy: ");
    return missingMeter({ ...common, state: "limited", detail: problem!, ...(remedy !== undefined && { remedy }) });
  }
}

/** @throws RunError where it does not answer, or no GPU says what it draws */
export function openNvml(path: string, clock: Clock): Source {
  const nvml = new Nvml(path);
  const gpus = nvml.gpus();
  if (gpus.length === 0) {
    nvml.close();
    throw new RunError("NVML", NO_GPU, "use another --meter");
  }
  const channels = gpus.map(({ name, counts, read }): Channel => {
    const domain = { name, within: null };
    if (counts === "power") {
      const accumulator = new PowerAccumulator({ stepWatts: 1e-3, lagMs: LAG_MS });
      return { domain, accumulator, read: () => read() * 1e-3 };
    }
    const traits = { name, unit: 1e-3, modulus: Number.POSITIVE_INFINITY, step: 1, updateMs: UPDATE_MS };
    return { domain, accumulator: new CounterAccumulator(traits), read };
  });
  const sampled = gpus.some(({ counts }) => counts === "power");
  const note = `whole cards${sampled ? `; power, sampled every ${INTERVAL_MS} ms, each a mean of up to ${LAG_MS} ms` : "; energy counters"}`;
  const info = { kind: "nvml", name: "NVML (NVIDIA)", provenance: "measured", intervalMs: INTERVAL_MS, note } as const;
  return new PolledSource(info, ["gpu-nvidia"], channels, clock, () => nvml.close());
}
