/**
 * The plan of a run: everything the data plane needs, as plain data that can be posted to workers. Main makes it once; workers
 * only read it.
 */
import type { LoadedChain, LoadedPort } from "../chain/load.js";
import type { OutcomeSpec } from "../chain/nf.js";
import type { Target } from "../chain/policy.js";
import type { SelectorSpec } from "../chain/selector.js";
import type { DeviceHandle } from "../device/device.js";
import { ConfigError } from "../errors.js";
import type { PortAddresses } from "../nic/addresses.js";
import { isLive, type PortConfig } from "../nic/drivers.js";
import type { RxPattern } from "../nic/port.js";
import type { ArenaHandle } from "../packet/arena.js";
import { GATE_REASONS } from "../packet/gate.js";
import type { ByRole } from "./by-role.js";
import type { CoreRole } from "./core-spec.js";
import { type PlanDevice, planDevice } from "./device-plan.js";
import { type Answer, type PlanIcmp, planIcmp } from "./icmp/answers.js";

/** Target codes in `arena.next` and in the policy table (u16). Below NF_LIMIT: the index of an NF. */
export const enum TARGET {
  NF_LIMIT = 0x100,
  /** Egress by the port the router chose, else the only tx port. */
  EGRESS = 0x102,
  KERNEL = 0x101,
  /** Plus port number: egress by that port. */
  EGRESS_PORT = 0x200,
  /** Plus index into {@link Plan.drops}. */
  DROP = 0x8000,
}

/** Outcome codes an NF may have; columns per NF in the policy table. */
export const OUTCOMES_PER_NF = 32;
/** NF visits of one packet before it is dropped as looping; only cyclic policies count. */
export const MAX_VISITS = 64;

export interface DropReason {
  readonly nf: string;
  readonly reason: string;
}

export interface PlanPort {
  readonly name: string;
  readonly config: PortConfig;
  readonly rx: boolean;
  readonly tx: boolean;
  readonly mtu: number | undefined;
  /** Of a port that receives and sends, where it has some: where messages of the gateway's own come from. */
  readonly addresses?: PortAddresses | undefined;
  /** Of an interface: IPv4 addresses that stand for all hosts of its networks. */
  readonly broadcasts?: readonly number[] | undefined;
}

export interface PlanNf {
  readonly name: string;
  readonly type: string;
  /** What importNf takes. */
  readonly source: string;
  /** Where it really runs: without a device on the CPU, whatever the chain says. */
  readonly place: "cpu" | "gpu";
  readonly outcomes: readonly OutcomeSpec[];
  /** True where its configuration can produce an outcome that passes gate and classifier again. */
  readonly reparses: boolean;
  /** Several threads may each have an instance. */
  readonly replicable: boolean;
  /** Keys of its stats that add up over instances. */
  readonly counted: readonly string[];
  readonly loaded: unknown;
}

export const WAIT_POLICIES = ["spin", "yield", "sleep", "adaptive"] as const;
export type WaitPolicy = (typeof WAIT_POLICIES)[number];
export const USUAL_WAIT: WaitPolicy = "adaptive";

/** How threads of a role wait. */
export function waitOf({ wait }: Pick<PlanOptions, "wait">, role: CoreRole): WaitPolicy {
  return wait[role] ?? USUAL_WAIT;
}

export type OrderMode = "flow" | "global" | "none";

export interface PlanOptions {
  readonly order: OrderMode;
  /** Packets per burst, 1..MAX_BATCH. */
  readonly batch: number;
  /** Replays of the input; 0: until stopped. */
  readonly loop: number;
  /** Seconds after which rx stops; 0: no limit. */
  readonly duration: number;
  /** Open-loop rate: packets or bits per second; undefined: as fast as it goes. */
  readonly rate: { readonly unit: "pps" | "bps"; readonly value: number } | undefined;
  /**
   * Descriptors of the receive ring, with a rate in packets: packets that are due while as many wait are missed, as by a NIC, and counted
   * (`imissed`). Absent: they wait.
   */
  readonly ring?: number | undefined;
  /** Latency of packets received within so many ms of the first is not recorded; absent: of all it is. */
  readonly warmUpMs?: number | undefined;
  readonly seed: number | undefined;
  readonly digest: boolean;
  readonly verifyL4: boolean;
  readonly portable: boolean;
  /** Of a role that is not named: adaptive. */
  readonly wait: ByRole<WaitPolicy>;
  /** How receiving threads share a queue, and its stages are timed; absent: each queue has one, and nothing is timed. */
  readonly rxPattern?: RxPattern | undefined;
}

export interface Plan {
  readonly chain: string;
  readonly arena: ArenaHandle;
  readonly ports: readonly PlanPort[];
  readonly selectors: readonly SelectorSpec[];
  /** Type code of IP packets no selector matches, and of frames that are not IP. */
  readonly defaultType: number;
  readonly nonIpType: number;
  readonly nfs: readonly PlanNf[];
  /** `policy[type * sources + source]` = target code; sources are ports, then OUTCOMES_PER_NF per NF. */
  readonly policy: Uint16Array;
  readonly sources: number;
  readonly drops: readonly DropReason[];
  /** Visiting order of NFs. */
  readonly nfOrder: readonly number[];
  /** True where the policy can hand a packet back to an NF it came from. */
  readonly cyclic: boolean;
  /** The device that the NFs placed on a GPU run on. */
  readonly device: PlanDevice | undefined;
  /** Where the gateway has messages of its own to send; else nothing is noted for them. */
  readonly icmp?: PlanIcmp | undefined;
  readonly options: PlanOptions;
}

/** Indices into {@link Plan.drops} of the reasons the engine itself has. */
export const enum DROP {
  /** Gate reasons 1..5 are drops 0..4. */
  GATE = -1,
  NON_IP = 5,
  NO_ROW = 6,
  LOOP = 7,
  POLICY = 8,
  NO_PORT = 9,
  EGRESS_TOO_BIG = 10,
  EGRESS_TX_ERROR = 11,
  KERNEL_REFUSED = 12,
}

const ENGINE_DROPS: readonly DropReason[] = [
  ...GATE_REASONS.slice(1).map((reason) => ({ nf: "gate", reason })),
  { nf: "policy", reason: "non-ip" },
  { nf: "policy", reason: "no-row" },
  { nf: "policy", reason: "loop" },
  { nf: "policy", reason: "drop" },
  { nf: "egress", reason: "no-port" },
  { nf: "egress", reason: "too-big" },
  { nf: "egress", reason: "tx-error" },
  { nf: "egress", reason: "kernel-refused" },
];

/** Source column of an NF's outcome. */
export function outcomeSource(ports: number, nf: number, outcome: number): number {
  return ports + nf * OUTCOMES_PER_NF + outcome;
}

/** @throws ConfigError where the ring is none, or there is no rate that would overrun it */
function checkRing({ ring, rate }: PlanOptions): void {
  if (ring === undefined) return;
  if (!Number.isInteger(ring) || ring < 1) {
    throw new ConfigError("ring", `found ${ring} descriptors, expected a whole number from 1 on`);
  }
  if (rate?.unit !== "pps") {
    throw new ConfigError(
      "ring",
      "there is no rate in packets per second",
      "give one: without, nothing is ever missed",
    );
  }
}

/** @throws ConfigError for options that a network interface cannot follow: its packets come when they come */
function checkLive(ports: readonly Pick<PlanPort, "config" | "rx">[], { rate, loop }: PlanOptions): void {
  const port = ports.find(({ config, rx }) => rx && isLive(config));
  if (port === undefined) return;
  const remedy = "leave it out, or receive from a capture or a generator";
  if (rate !== undefined) throw new ConfigError("--rate", "a network interface has a rate of its own", remedy);
  if (loop !== 1) throw new ConfigError("--loop", "a network interface cannot be replayed", remedy);
}

/** Where threads are to share an AF_XDP ring, or its stages are to be timed, `auto` has no choice for what receives: it is `xdp`. */
function withRing(port: LoadedPort): LoadedPort {
  const { config, rx } = port;
  return rx && config.driver === "auto" ? { ...port, config: { ...config, driver: "xdp" } } : port;
}

/**
 * Resolves a chain's policy into the table of the data plane.
 * @param device opened with the chain's GPU NFs; undefined: every NF runs on the CPU
 * @throws ConfigError for options that contradict each other
 */
export function makePlan(chain: LoadedChain, arena: ArenaHandle, options: PlanOptions, device?: DeviceHandle): Plan {
  checkRing(options);
  checkLive(chain.ports, options);
  const drops = [...ENGINE_DROPS];
  const answers: (Answer | undefined)[] = [];
  answers[DROP.EGRESS_TOO_BIG] = { icmp: "too-big" };
  const ports = chain.ports.length;
  const sources = ports + chain.nfs.length * OUTCOMES_PER_NF;
  const types = chain.types.length;
  const nonIpType = types - 1;
  const policy = new Uint16Array(new SharedArrayBuffer(types * sources * 2));
  const encode = (target: Target, drop: () => number): number => {
    if (target.kind === "nf") return target.nf;
    if (target.kind === "kernel") return TARGET.KERNEL;
    if (target.kind === "egress") return target.port === undefined ? TARGET.EGRESS : TARGET.EGRESS_PORT + target.port;
    return TARGET.DROP + drop();
  };
  chain.types.forEach((type, t) => {
    const missing = TARGET.DROP + (t === nonIpType ? DROP.NON_IP : DROP.NO_ROW);
    policy.fill(missing, t * sources, (t + 1) * sources);
    chain.ports.forEach((port, p) => {
      const target = chain.policy.ingress(type, port.name);
      if (target !== undefined) policy[t * sources + p] = encode(target, () => DROP.POLICY);
    });
  });
  chain.nfs.forEach((nf, n) => {
    nf.module.outcomes.forEach((outcome, o) => {
      let drop = -1;
      const dropIndex = () => {
        if (drop >= 0) return drop;
        drop = drops.push({ nf: nf.name, reason: outcome.name }) - 1;
        if (outcome.icmp !== undefined) answers[drop] = { icmp: outcome.icmp, largest: nf.largest };
        return drop;
      };
      chain.types.forEach((type, t) => {
        const target = chain.policy.outcome(type, nf.name, outcome);
        if (target !== undefined) policy[t * sources + outcomeSource(ports, n, o)] = encode(target, dropIndex);
      });
    });
  });
  return {
    chain: chain.name,
    arena,
    ports: chain.ports.map((port) => (options.rxPattern === undefined ? port : withRing(port))),
    selectors: chain.selectors,
    defaultType: types - 2,
    nonIpType,
    nfs: chain.nfs.map(({ name, type, source, place, module, loaded }) => {
      const possible = module.possible?.(loaded);
      const reparses = module.outcomes.some((o) => o.reparse && (possible?.includes(o.name) ?? true));
      return {
        ...{ name, type, source, place: device ? place : "cpu", outcomes: module.outcomes, reparses, loaded },
        replicable: module.replicable?.(loaded) ?? false,
        counted: module.counted ?? [],
      };
    }),
    policy,
    sources,
    drops,
    nfOrder: chain.graph.order,
    cyclic: chain.graph.cyclic.length > 0,
    device: device && planDevice(chain, device, (nf, reason) => drops.push({ nf, reason }) - 1),
    icmp: planIcmp(chain.ports, answers, arena.slots),
    options,
  };
}
