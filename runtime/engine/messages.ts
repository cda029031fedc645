/** What main and the data-plane threads of a run say to each other. */
import type { SyncerOptions } from "../device/syncer.js";
import type { LatencyCounts } from "../measure/latency.js";
import type { HostAccess } from "../nic/port.js";
import type { StageReport } from "../nic/shared-queue/stages.js";
import type { Epoch } from "./clock.js";
import type { Plan } from "./plan.js";
import type { ThreadPlan } from "./thread-plan.js";
import type { ThreadSettings } from "./thread-settings.js";
import type { Topology } from "./topology.js";

export interface WorkerSetup {
  readonly thread: number;
  readonly plan: Plan;
  readonly topology: Topology;
  readonly settings: ThreadPlan;
  readonly epoch: Epoch;
  readonly control: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
  /** Memory of the rings, in the order of topology.rings. */
  readonly rings: readonly SharedArrayBuffer[];
  /** Where several threads audit order together. */
  readonly audit: SharedArrayBuffer | undefined;
  readonly syncer: SyncerOptions | undefined;
}

export interface NfReport {
  readonly nf: number;
  readonly engine: string;
  readonly stats: Record<string, unknown>;
  /** pcap_cnt, signature_id, ... */
  readonly alerts: Float64Array | undefined;
}

/** What a thread says when it is done. */
export interface ThreadReport {
  readonly nfs: readonly NfReport[];
  /** Of receiving threads whose stages were timed. */
  readonly stages?: StageReport | undefined;
  /** Slots that did not come home; of receiving threads only. */
  readonly inFlight: number;
  readonly firstNs: number;
  readonly lastNs: number;
  /** Of sending threads. */
  readonly latency: LatencyCounts | undefined;
  readonly digest: string | undefined;
  /** As the system had it while the thread worked. */
  readonly settings: ThreadSettings;
}

/** RxPort.share by name of the port. */
export type Shares = Readonly<Record<string, unknown>>;

/** To a thread that is ready: to begin. */
export interface BeginMessage {
  /** Those of the device that run. */
  readonly workgroups: readonly number[];
  /** By port number: how frames it received get to the host's network stack; undefined where they need not, or cannot. */
  readonly hosts: readonly (HostAccess | undefined)[];
  /** By port number: RxPort.lent of the thread that receives from it. */
  readonly lent: readonly unknown[];
}

/** What main says: to a receiver but the first, that the first has opened its ports; to a thread that is ready, to begin; to any, to leave. */
export type GoMessage = { readonly shares: Shares } | BeginMessage | "quit";

export type WorkerMessage =
  /** Of the first of several receivers. */
  | { readonly kind: "opened"; readonly shares: Shares }
  | {
      readonly kind: "ready";
      /** Of the ports this thread has opened, see {@link BeginMessage}. */
      readonly hosts: readonly (HostAccess | undefined)[];
      readonly lent: readonly unknown[];
    }
  /** The device is given up; the run goes on to its end without it. */
  | { readonly kind: "failure"; readonly line: string }
  /** An NF or an interface has failed; the run goes on to its end, and is a failed one. */
  | { readonly kind: "nf-failure"; readonly line: string }
  | { readonly kind: "warn"; readonly line: string }
  | { readonly kind: "done"; readonly report: ThreadReport }
  | {
      readonly kind: "error";
      readonly error: { readonly name: string; readonly message: string; readonly stack: string | undefined };
      /** The thread had done its work, and has failed to write or close something: another thread's error says more. */
      readonly late: boolean;
    };
