/**
 * Makes the packets a generator plays: all at once, before the first leaves, so that sending is a copy.
 *
 * There are as many as `count`, but no more than the largest of `flows` (twice, with several
 * streams), 4096 and what makes `hits` come out right (16 / hits, up to
 * 131072): a longer run plays them again and again. Everything is a function of the options.
 */
import { ConfigError } from "../../errors.js";
import { IPPROTO } from "../../packet/protocols.js";
import { FrameStore, storedBytes } from "../store.js";
import { Flows, planStreams, Share, type Stream } from "./flows.js";
import { atLeast, FrameBuilder, headerBytes } from "./frame.js";
import { IMIX, ImixDeck } from "./imix.js";
import type { GeneratorOptions } from "./options.js";
import { type Pattern, readPatterns } from "./patterns.js";
import { Random } from "./random.js";

const LEAST = 4096;
const MOST_FOR_HITS = 131072;
const MEMORY_LIMIT = 1024 * 1024 * 1024;

/**
 * @param where what the options belong to, for messages
 * @param warn one line for the user
 * @throws ConfigError for options that contradict each other, or rules that cannot be read
 */
export function makeTraffic(options: GeneratorOptions, where: string, warn: (line: string) => void): FrameStore {
  if (options.hits > 0 && options.rules === undefined) {
    throw new ConfigError(where, "hits without rules", "name the rule file whose contents packets shall hold: rules");
  }
  if (options.hits === 0 && options.rules !== undefined) {
    throw new ConfigError(where, "rules without hits", "give the share of packets that shall hold a content: hits");
  }
  const random = new Random(options.seed);
  const streams = planStreams(options, where);
  const forHits = options.hits > 0 ? Math.min(MOST_FOR_HITS, Math.ceil(16 / options.hits)) : 0;
  // Streams are drawn at random, so that one round over all flows would miss some of them.
  const forFlows = options.flows * (streams.length > 1 ? 2 : 1);
  const count = Math.min(options.count, Math.max(forFlows, LEAST, forHits));
  checkMemory(streams, count, where);

  const flows = new Flows(streams, random, where);
  const draft = draw(streams, flows, count, random, where);
  const patterns = new PatternChoice(options, where, flows, warn);
  const hit = patterns.choosePackets(draft, flows, random);
  const builder = new FrameBuilder(flows, random);
  const store = new FrameStore();
  for (let i = 0; i < count; i++) {
    const stream = streams[draft.stream[i]!]!;
    const flow = draft.flow[i]!;
    const bytes = draft.bytes[i]!;
    const pattern = hit[i] === 1 ? patterns.choose(flows.proto[flow]!, draft.payload[i]!, random) : undefined;
    builder.build(stream, flow, bytes, i, pattern);
    store.append(builder, 0, bytes, 0, bytes, 0, 0);
  }
  return store;
}

/** By the mean size, and before anything is made: a million long packets take a while. */
function checkMemory(streams: readonly Stream[], count: number, where: string): void {
  const imix = IMIX.reduce((sum, size) => sum + storedBytes(size), 0) / IMIX.length;
  const total = streams.reduce((sum, { weight }) => sum + weight, 0);
  const mean = streams.reduce(
    (sum, { weight, size }) => sum + (weight / total) * (size === 0 ? imix : storedBytes(size)),
    0,
  );
  const memory = mean * count;
  if (memory > MEMORY_LIMIT) {
    throw new ConfigError(
      where,
      `its ${count} different packets take ${Math.round(memory / 2 ** 20)} MiB of memory, at most ${MEMORY_LIMIT / 2 ** 20} are taken`,
      "ask for fewer flows or smaller packets",
    );
  }
}

/** Per packet: stream, flow, frame bytes, payload bytes. */
interface Draft {
  readonly stream: Uint16Array;
  readonly flow: Uint32Array;
  readonly bytes: Uint16Array;
  readonly payload: Uint16Array;
}

/** Decides what every packet is: streams by weight, the flows of a stream in turn. */
function draw(streams: readonly Stream[], flows: Flows, count: number, random: Random, where: string): Draft {
  const draft: Draft = {
    stream: new Uint16Array(count),
    flow: new Uint32Array(count),
    bytes: new Uint16Array(count),
    payload: new Uint16Array(count),
  };
  const total = streams.reduce((sum, stream) => sum + stream.weight, 0);
  const turn = new Uint32Array(streams.length);
  // Every stream deals its own sizes, so that its mix is right whatever the others take.
  const mixes = streams.map(() => new ImixDeck(random));
  for (let i = 0; i < count; i++) {
    let chosen = 0;
    if (streams.length > 1) {
      let mark = random.fraction() * total;
      while (chosen < streams.length - 1 && mark >= streams[chosen]!.weight) mark -= streams[chosen++]!.weight;
    }
    const stream = streams[chosen]!;
    const flow = stream.firstFlow + (turn[chosen]! % stream.flows);
    turn[chosen]!++;
    const headers = headerBytes(stream, flows.ipv6[flow] === 1, flows.proto[flow] === IPPROTO.TCP);
    let bytes = stream.size;
    if (bytes === 0) {
      bytes = Math.max(mixes[chosen]!.deal(), atLeast(headers));
    } else if (bytes < headers) {
      throw new ConfigError(
        where,
        `size ${bytes} is less than the ${headers} bytes of headers that a packet of it has`,
        `give ${headers} or more, or leave out TCP, IPv6 or VLAN`,
      );
    }
    draft.stream[i] = chosen;
    draft.flow[i] = flow;
    draft.bytes[i] = bytes;
    draft.payload[i] = bytes - headers;
  }
  return draft;
}

/** Which packets hold a pattern, and which one. */
class PatternChoice {
  /** In ascending order of length, by protocol: what a rule for it looks for. */
  private readonly udp: readonly Pattern[];
  private readonly tcp: readonly Pattern[];

  constructor(
    private readonly options: GeneratorOptions,
    private readonly where: string,
    flows: Flows,
    warn: (line: string) => void,
  ) {
    const all = options.rules === undefined ? [] : readPatterns(options.rules);
    const forProtocol = (proto: number, name: string) => {
      const some = all.filter((pattern) => pattern.proto === 0 || pattern.proto === proto);
      if (some.length > 0 || all.length === 0) return some;
      if (flows.proto.includes(proto)) {
        warn(
          `${where}: ${options.rules} has no rule for ${name}: its ${name} packets hold contents of other rules, which do not alert`,
        );
      }
      return all;
    };
    this.udp = forProtocol(IPPROTO.UDP, "udp");
    this.tcp = forProtocol(IPPROTO.TCP, "tcp");
  }

  /** The share asked for, exactly, at random among the packets with room for a pattern. */
  choosePackets(draft: Draft, flows: Flows, random: Random): Uint8Array {
    const count = draft.flow.length;
    const hit = new Uint8Array(count);
    const wanted = Math.round(count * this.options.hits);
    if (this.options.hits === 0) return hit;
    if (wanted === 0) {
      throw new ConfigError(
        this.where,
        `hits ${this.options.hits} of ${count} packets are none`,
        "ask for more hits or packets",
      );
    }
    let room = 0;
    for (let i = 0; i < count; i++) {
      hit[i] = this.fitting(flows.proto[draft.flow[i]!]!, draft.payload[i]!) > 0 ? 1 : 0;
      room += hit[i]!;
    }
    if (room < wanted) {
      throw new ConfigError(
        this.where,
        `${wanted} packets shall hold a content of ${this.options.rules}, but only ${room} have payload enough for its shortest`,
        "ask for larger packets or fewer hits",
      );
    }
    const share = new Share(wanted, room, random);
    for (let i = 0; i < count; i++) if (hit[i] === 1) hit[i] = share.next() ? 1 : 0;
    return hit;
  }

  choose(proto: number, payload: number, random: Random): Uint8Array {
    const patterns = proto === IPPROTO.TCP ? this.tcp : this.udp;
    return patterns[random.below(this.fitting(proto, payload))]!.bytes;
  }

  /** How many of the protocol's patterns, the shortest first, fit into a payload. */
  private fitting(proto: number, payload: number): number {
    const patterns = proto === IPPROTO.TCP ? this.tcp : this.udp;
    let low = 0;
    let high = patterns.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (patterns[middle]!.bytes.length <= payload) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
