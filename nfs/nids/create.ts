/** What a thread that runs the nids needs: no schema and no parser of rules. */
import type { CreateContext, Nf } from "../../runtime/chain/nf.js";
import { Nids } from "./cpu.js";
import { GpuNids } from "./gpu.js";
import type { NidsLoaded } from "./load.js";

export const create = (loaded: NidsLoaded, context: CreateContext): Nf =>
  context.place === "gpu" ? new GpuNids(loaded, context) : new Nids(loaded, context);
