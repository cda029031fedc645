/**
 * A chain, executed as the documents word it: one packet after the other from port to port, with the references of gate,
 * selectors and NFs, and the policy looked up row by row. Shares no code with runtime/engine.
 */
import { ReferenceIpsec } from "../../nfs/ipsec/reference.js";
import type { NidsLoaded } from "../../nfs/nids/load.js";
import { NidsReference } from "../../nfs/nids/reference.js";
import { linearMatch, type PlainRoute, routeFrame } from "../../nfs/router/reference.js";
import type { LoadedChain, LoadedNf } from "../../runtime/chain/load.js";
import { Arena, DATA_OFFSET, MAX_FRAME } from "../../runtime/packet/arena.js";
import { Gate } from "../../runtime/packet/gate.js";
import { addressBytes, place } from "./frames.js";
import { type Accepted, gateReference } from "./gate-reference.js";
import type { Captured, RandomChain } from "./random-chain.js";
import { firstMatchReference } from "./selector-reference.js";

const SLOT_BYTES = 2048;
const SLOT_MTU = MAX_FRAME - 14;
/** NFs a packet visits before it counts as looping. */
const VISITS = 64;

/** What an NF does to one frame. `start`: where it begins in its slot. */
interface Step {
  readonly outcome: string;
  readonly frame: Uint8Array;
  readonly start: number;
  readonly port?: number;
}
type Stage = (frame: Uint8Array, start: number, packet: { portIn: string; arrival: number; sec: number }) => Step;

export interface Sent {
  readonly port: string;
  readonly frame: Uint8Array;
  readonly arrival: number;
}

export class ChainReference {
  readonly sent: Sent[] = [];
  /** "nf reason" -> packets; "kernel" too. */
  readonly ends = new Map<string, number>();
  /** "nf outcome" -> packets. */
  readonly outcomes = new Map<string, number>();
  readonly bytes = new Map<string, number>();
  /** arrival, signature id. */
  readonly alerts: [number, number][] = [];
  private readonly stages: ReadonlyMap<string, Stage>;
  private readonly arena = Arena.create(1);
  private readonly rows: ReadonlyMap<string, string>;
  private arrivals = 0;

  constructor(
    private readonly chain: LoadedChain,
    random: RandomChain,
    private readonly seed: number,
    private readonly verifyL4: boolean,
  ) {
    this.rows = new Map(chain.rows.map((row) => [`${row.type},${row.current}`, row.next]));
    this.stages = new Map(chain.nfs.map((nf) => [nf.name, this.stage(nf, random)]));
  }

  close(): void {
    this.arena.free();
  }

  receive({ bytes, wireLen, sec }: Captured, portIn: string): void {
    const arrival = ++this.arrivals;
    const options = { truncated: wireLen > bytes.length, tooLong: bytes.length > MAX_FRAME, verifyL4: this.verifyL4 };
    const verdict = gateReference(bytes, options);
    if (verdict.reason !== "") {
      this.end(`gate ${verdict.reason}`);
      return;
    }
    let type = this.typeOf(bytes, verdict, portIn);
    let next = this.find(type, [`ingress:${portIn}`, "ingress"]) ?? noRow(type);
    if (next === "drop") next = "drop policy drop";
    let frame = bytes;
    let start = DATA_OFFSET;
    let chosen: number | undefined;
    for (let visits = 1; this.stages.has(next); visits++) {
      const name = next;
      count(this.bytes, name, frame.length);
      const step = this.stages.get(name)!(frame, start, { portIn, arrival, sec });
      count(this.outcomes, `${name} ${step.outcome}`);
      ({ frame, start } = step);
      if (step.port !== undefined) chosen = step.port;
      if (step.outcome === "opened") {
        const again = gateReference(frame, { verifyL4: this.verifyL4 });
        if (again.reason !== "") {
          this.end(`gate ${again.reason}`);
          return;
        }
        type = this.typeOf(frame, again, portIn);
        chosen = undefined;
      }
      next = this.after(type, name, step.outcome);
      if (visits >= VISITS && this.stages.has(next)) next = "drop policy loop";
    }
    if (next.startsWith("drop ")) {
      this.end(next.slice("drop ".length));
      return;
    }
    if (next === "kernel") {
      this.end("kernel");
      return;
    }
    this.egress(next, chosen, frame, arrival);
  }

  private egress(target: string, chosen: number | undefined, frame: Uint8Array, arrival: number): void {
    const { ports } = this.chain;
    const senders = ports.filter((p) => p.tx);
    const named = target.startsWith("egress:")
      ? ports.find((p) => p.name === target.slice("egress:".length))
      : undefined;
    const port = named ?? (chosen !== undefined ? ports[chosen] : senders.length === 1 ? senders[0] : undefined);
    if (port === undefined) {
      this.end("egress no-port");
      return;
    }
    const at = gateReference(frame);
    if (at.reason !== "") throw new Error(`what leaves by ${port.name} would not pass the gate: ${at.reason}`);
    if (at.l3end - at.l3 > (port.mtu ?? Number.POSITIVE_INFINITY)) {
      this.end("egress too-big");
      return;
    }
    this.sent.push({ port: port.name, frame, arrival });
  }

  private end(how: string): void {
    count(this.ends, how);
  }

  private typeOf(frame: Uint8Array, at: Accepted, port: string): string {
    if (!at.flags.includes("IPV4") && !at.flags.includes("IPV6")) return "non-ip";
    return this.chain.types[firstMatchReference(this.chain.selectors, frame, at, port)]!;
  }

  private find(type: string, places: readonly string[]): string | undefined {
    const types = type === "non-ip" ? [type] : [type, "*"];
    for (const current of places) {
      for (const name of types) {
        const next = this.rows.get(`${name},${current}`);
        if (next !== undefined) return next;
      }
    }
    return undefined;
  }

  private after(type: string, nf: string, outcome: string): string {
    const spec = this.chain.nfs.find((n) => n.name === nf)!.module.outcomes.find((o) => o.name === outcome)!;
    const dropped = `drop ${nf} ${outcome}`;
    if (spec.alwaysDrops) return dropped;
    const named = this.find(type, [`${nf}.${outcome}`]);
    const next = named ?? (spec.drops ? "drop" : (this.find(type, [nf]) ?? noRow(type)));
    return next === "drop" ? dropped : next;
  }

  private stage(nf: LoadedNf, random: RandomChain): Stage {
    if (nf.type === "ipsec") return this.ipsec(nf.name, random);
    if (nf.type === "router") return this.router(nf.name, random);
    return this.nids(nf);
  }

  private ipsec(name: string, random: RandomChain): Stage {
    const sas = random.sas.get(name)!;
    const selectors = sas.filter((sa) => sa.direction === "out").map((sa) => sa.selector ?? {});
    const mtu = Math.min(...this.chain.ports.filter((p) => p.tx).map((p) => p.mtu ?? SLOT_MTU));
    let portIn = "";
    const select = (frame: Uint8Array) =>
      firstMatchReference(selectors, frame, gateReference(frame) as Accepted, portIn);
    const reference = new ReferenceIpsec(sas, { seed: this.seed, mtu, slotBytes: SLOT_BYTES, select });
    return (bytes, start, packet) => {
      portIn = packet.portIn;
      const { outcome, frame } = reference.process(bytes, start);
      if (outcome === "protected") return { outcome, frame, start: start - 44 };
      // Outer header, ESP header and IV come off in front.
      const { l3 } = gateReference(bytes) as Accepted;
      if (outcome === "opened") return { outcome, frame, start: start + (bytes[l3]! & 15) * 4 + 24 };
      return { outcome, frame: bytes, start };
    };
  }

  private router(name: string, random: RandomChain): Stage {
    const u32 = (text: string) => new DataView(addressBytes(text).buffer).getUint32(0);
    const routes: PlainRoute[] = random.routes.get(name)!.map(({ prefix, hop, port }) => {
      const index = this.chain.ports.findIndex((p) => p.name === port);
      const [address, length] = prefix.split("/");
      const neighbourMac = Uint8Array.from([2, 0, ...addressBytes(hop)]);
      const portMac = Uint8Array.from([2, 1, 0, 0, 0, index]);
      return { address: u32(address!), length: Number(length), hop: { port: index, neighbourMac, portMac } };
    });
    return (bytes, start) => {
      const routed = routeFrame(bytes, (destination) => linearMatch(routes, destination));
      if (routed.outcome !== "forward") return { outcome: routed.outcome, frame: bytes, start };
      return { outcome: "forward", frame: routed.frame, start, port: routed.port };
    };
  }

  private nids(nf: LoadedNf): Stage {
    const { arena } = this;
    const reference = new NidsReference(arena, (nf.loaded as NidsLoaded).rules);
    const gate = new Gate(arena);
    return (frame, start, { arrival, sec }) => {
      place(arena, 0, frame, { offset: start, fromNf: true });
      // A refused frame would be judged by what the one before it left in the slot's metadata.
      if (gate.check(Uint32Array.of(0), 1, new Uint8Array(1)) > 0)
        throw new Error(
          `packet ${arrival} would not pass the gate before ${nf.name}: ${frame.length} bytes at ${start}`,
        );
      arena.tsSec[0] = sec;
      const { outcome, sids } = reference.judge(0);
      for (const sid of sids) this.alerts.push([arrival, sid]);
      return { outcome, frame, start };
    };
  }
}

const noRow = (type: string) => (type === "non-ip" ? "drop policy non-ip" : "drop policy no-row");

function count(map: Map<string, number>, key: string, by = 1): void {
  map.set(key, (map.get(key) ?? 0) + by);
}
