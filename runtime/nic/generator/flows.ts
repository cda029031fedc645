/**
 * Streams and flows of generated traffic. A flow is a distinct 5-tuple; each stream has its part of them by weight, drawn from its
 * prefixes and ports.
 */
import { ConfigError } from "../../errors.js";
import { IPPROTO } from "../../packet/protocols.js";
import type { GeneratorOptions, StreamOptions } from "./options.js";
import type { Random } from "./random.js";
import { type Prefix, parsePorts, parsePrefix } from "./values.js";

/** Where clients' and UDP servers' ports come from: above what dissectors take for a known protocol. */
const HIGH_PORTS = [40000, 65535] as const;
const HTTP_PORTS = [80, 80] as const;

/** A stream with every default filled in. */
export interface Stream {
  readonly weight: number;
  /** Share of its flows. */
  readonly tcp: number;
  readonly ipv6: number;
  /** By family: [IPv4, IPv6]. */
  readonly src: readonly Prefix[];
  readonly dst: readonly Prefix[];
  readonly sport: readonly [number, number];
  /** By protocol: [UDP, TCP]. */
  readonly dport: readonly (readonly [number, number])[];
  /** 0: imix. */
  readonly size: number;
  readonly dscp: number;
  readonly vlan: number;
  readonly text: boolean;
  /** Its flows are [firstFlow, firstFlow + flows). */
  readonly firstFlow: number;
  readonly flows: number;
}

/** Fills in what streams do not say. @throws ConfigError where addresses are of two families */
export function planStreams(options: GeneratorOptions, where: string): Stream[] {
  const streams: readonly StreamOptions[] = options.streams ?? [{ weight: 1 }];
  if (streams.length > options.flows) {
    throw new ConfigError(
      where,
      `flows: ${options.flows} for ${streams.length} streams`,
      "give every stream a flow at least",
    );
  }
  const total = streams.reduce((sum, stream) => sum + stream.weight, 0);
  let firstFlow = 0;
  let weight = 0;
  return streams.map((stream, i) => {
    weight += stream.weight;
    // Rounded so that all add up to `flows` and each has one at least.
    const least = firstFlow + 1;
    const most = options.flows - (streams.length - 1 - i);
    const end = Math.min(most, Math.max(least, Math.round((options.flows * weight) / total)));
    const plan = planStream(stream, options, `${where}: streams[${i}]`, firstFlow, end - firstFlow);
    firstFlow = end;
    return plan;
  });
}

function planStream(
  stream: StreamOptions,
  options: GeneratorOptions,
  where: string,
  firstFlow: number,
  flows: number,
): Stream {
  const families = [stream.src, stream.dst].filter((text) => text !== undefined).map((text) => familyOf(text));
  if (families.length === 2 && families[0] !== families[1]) {
    throw new ConfigError(
      where,
      `src ${stream.src} and dst ${stream.dst} are of two families`,
      "give both as IPv4 or both as IPv6",
    );
  }
  const ipv6 = families[0] ?? options.ipv6;
  const src = [prefixFor(options.src, 0, `${where}: src`), prefixFor(options.src6, 1, `${where}: src6`)];
  const dst = [prefixFor(options.dst, 0, `${where}: dst`), prefixFor(options.dst6, 1, `${where}: dst6`)];
  if (stream.src !== undefined) src[familyOf(stream.src)] = parsePrefix(stream.src)!;
  if (stream.dst !== undefined) dst[familyOf(stream.dst)] = parsePrefix(stream.dst)!;
  const dport = stream.dport ?? options.dport;
  const size = stream.size ?? options.size ?? 64;
  return {
    weight: stream.weight,
    tcp: stream.proto === undefined ? options.tcp : stream.proto === "tcp" ? 1 : 0,
    ipv6,
    src,
    dst,
    sport: parsePorts(stream.sport ?? options.sport ?? HIGH_PORTS.join("-"))!,
    dport: dport === undefined ? [HIGH_PORTS, HTTP_PORTS] : [parsePorts(dport)!, parsePorts(dport)!],
    size: size === "imix" ? 0 : size,
    dscp: stream.dscp ?? options.dscp ?? 0,
    vlan: stream.vlan ?? options.vlan ?? 0,
    text: (stream.payload ?? options.payload ?? "random") === "text",
    firstFlow,
    flows,
  };
}

const familyOf = (text: string) => (text.includes(":") ? 1 : 0);

function prefixFor(text: string, family: number, where: string): Prefix {
  if (familyOf(text) !== family) {
    throw new ConfigError(
      where,
      `${text} is not IPv${family === 0 ? 4 : 6}`,
      "src and dst are IPv4, src6 and dst6 IPv6",
    );
  }
  return parsePrefix(text)!;
}

/** All flows, as bytes beside one another: no object per flow, since there may be a million. */
export class Flows {
  /** Per flow: source and destination address (16 bytes each, IPv4 in the first 4), source and destination port (big-endian). */
  readonly tuples: Buffer;
  readonly proto: Uint8Array;
  /** 1: IPv6. */
  readonly ipv6: Uint8Array;
  /** Next TCP sequence number. */
  readonly seq: Uint32Array;

  /** @throws ConfigError where prefixes and ports hold fewer 5-tuples than flows */
  constructor(streams: readonly Stream[], random: Random, where: string) {
    const count = streams.reduce((sum, stream) => sum + stream.flows, 0);
    this.tuples = Buffer.alloc(count * TUPLE_BYTES);
    this.proto = new Uint8Array(count);
    this.ipv6 = new Uint8Array(count);
    this.seq = new Uint32Array(count);
    const seen = new Set<string>();
    for (const stream of streams) {
      const tcp = new Share(Math.round(stream.tcp * stream.flows), stream.flows, random);
      const ipv6 = new Share(Math.round(stream.ipv6 * stream.flows), stream.flows, random);
      for (let i = 0; i < stream.flows; i++) {
        const flow = stream.firstFlow + i;
        this.proto[flow] = tcp.next() ? IPPROTO.TCP : IPPROTO.UDP;
        this.ipv6[flow] = ipv6.next() ? 1 : 0;
        this.seq[flow] = random.u32();
        // Enough draws to find the last free tuple of a small space but for one time in 10^27.
        let tries = Math.min(MAX_TRIES, 64 * this.spaceOf(flow, stream));
        do {
          if (tries-- <= 0) {
            throw new ConfigError(
              where,
              `no ${stream.flows} distinct flows in the prefixes and ports given (${i} found)`,
              "widen src, dst, sport or dport, or ask for fewer flows",
            );
          }
          this.draw(flow, stream, random);
        } while (seen.has(this.key(flow)));
        seen.add(this.key(flow));
      }
    }
  }

  /** How many 5-tuples a flow's prefixes and ports hold. */
  private spaceOf(flow: number, stream: Stream): number {
    const family = this.ipv6[flow]!;
    const { src, dst, sport } = stream;
    const dport = stream.dport[this.proto[flow] === IPPROTO.TCP ? 1 : 0]!;
    const hosts = (prefix: Prefix) => 2 ** (prefix.bytes.length * 8 - prefix.length);
    return hosts(src[family]!) * hosts(dst[family]!) * (sport[1] - sport[0] + 1) * (dport[1] - dport[0] + 1);
  }

  private draw(flow: number, stream: Stream, random: Random): void {
    const { tuples } = this;
    const at = flow * TUPLE_BYTES;
    const family = this.ipv6[flow]!;
    drawAddress(tuples, at, stream.src[family]!, random);
    drawAddress(tuples, at + 16, stream.dst[family]!, random);
    const dport = stream.dport[this.proto[flow] === IPPROTO.TCP ? 1 : 0]!;
    const from = random.between(stream.sport[0], stream.sport[1]);
    const to = random.between(dport[0], dport[1]);
    tuples[at + 32] = from >> 8;
    tuples[at + 33] = from;
    tuples[at + 34] = to >> 8;
    tuples[at + 35] = to;
  }

  private key(flow: number): string {
    const at = flow * TUPLE_BYTES;
    return `${this.proto[flow]}${this.tuples.toString("latin1", at, at + TUPLE_BYTES)}`;
  }
}

export const TUPLE_BYTES = 36;
/** Draws for one flow before its space is taken to be full. */
const MAX_TRIES = 1_000_000;

/** Marks exactly `wanted` of `left` ones, at random: selection sampling (Knuth, 3.4.2, algorithm S). */
export class Share {
  constructor(
    private wanted: number,
    private left: number,
    private readonly random: Random,
  ) {}

  /** Whether the next one is marked. */
  next(): boolean {
    const taken = this.random.below(this.left--) < this.wanted;
    if (taken) this.wanted--;
    return taken;
  }
}

function drawAddress(to: Uint8Array, at: number, prefix: Prefix, random: Random): void {
  for (let i = 0; i < prefix.bytes.length; i++) {
    const fixed = Math.min(8, Math.max(0, prefix.length - i * 8));
    const host = 0xff >> fixed;
    to[at + i] = (prefix.bytes[i]! & ~host) | (random.u32() & host);
  }
}
