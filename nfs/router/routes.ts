/**
 * Reads route files: streaming, plain or gzip (told by its first two bytes), each line in one of three formats, told by the line:
 *
 *   PREFIX/LEN NEXTHOP [PORT]          PORT may be left out where the chain has one port that transmits
 *   PREFIX/LEN                         a plain prefix list: synthetic next hops
 *   TABLE_DUMP2|..|B|..|..|PREFIX/LEN|..|..|NEXTHOP|..    `bgpdump -m`
 *
 * '#' begins a comment. The file is parsed from bytes: a full BGP table has a million lines.
 */
import { ConfigError } from "../../runtime/errors.js";
import { fileContent } from "./content.js";
import { Cursor, HASH, isBlank, PIPE } from "./cursor.js";
import { MAX_NEXT_HOPS } from "./fib.js";
import { dotted, NextHops } from "./nexthops.js";
import { hashPrefix, RouteTable } from "./table.js";

/** First of the synthetic next hops: 100.64.0.0/10 is shared address space that no host on the internet has (RFC 6598). */
const SYNTHETIC_BASE = 0x6440_0001;
const DEFAULT_SYNTHETIC = 16;
/** No line of any of the formats is this long. */
const MAX_LINE = 1 << 16;

const LF = 0x0a;
/** "B": an entry of a table, not an announcement or a withdrawal. */
const KIND_RIB = 0x42;
const TABLE_DUMP2 = Buffer.from("TABLE_DUMP2|");
const TABLE_DUMP = Buffer.from("TABLE_DUMP|");

export interface RouteOptions {
  /** Names of all ports, and which of them transmit. */
  readonly ports: readonly string[];
  readonly txPorts: readonly number[];
  /** Ports a route may name; absent: txPorts. */
  readonly nameablePorts?: readonly number[] | undefined;
  /** How many synthetic next hops a plain prefix list is spread over; undefined: 16. */
  readonly nextHops: number | undefined;
  warn(line: string): void;
}

export interface Routes {
  readonly table: RouteTable;
  readonly nextHops: NextHops;
  /** IPv6 prefixes, and IPv4 ones in a dump with an IPv6 next hop (RFC 8950), which were left out. */
  readonly skippedIpv6: number;
  /** Prefixes that a later line replaced. */
  readonly replaced: number;
}

/**
 * Reads one route file.
 * @throws ConfigError with file and line; the file named as given
 */
export async function readRoutes(file: string, options: RouteOptions): Promise<Routes> {
  const reader = new RouteReader(file, options);
  try {
    for await (const chunk of fileContent(file)) reader.push(chunk);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError(
      file,
      `cannot be read: ${(error as Error).message}`,
      "name a readable text or gzip file in `routes`",
    );
  }
  return reader.end();
}

class RouteReader {
  private readonly table = new RouteTable();
  private readonly hops = new NextHops();
  /** Synthetic next hop by number, 0 where no prefix has needed it yet. */
  private readonly synthetic: Uint16Array;
  private readonly txByName: ReadonlyMap<string, number>;
  /** The port of the line before: most lines name the same, and comparing bytes is cheaper than making a string. */
  private lastPort = 0;
  private lastPortName: Uint8Array = Buffer.from(" ");
  private plain = 0;
  private dumped = 0;
  private skippedIpv6 = 0;
  private replaced = 0;

  private readonly cursor = new Cursor();
  private lineNumber = 0;
  /** The unfinished last line of the chunk before. */
  private rest: Buffer = Buffer.alloc(0);

  constructor(
    private readonly file: string,
    private readonly options: RouteOptions,
  ) {
    this.synthetic = new Uint16Array(options.nextHops ?? DEFAULT_SYNTHETIC);
    this.txByName = new Map((options.nameablePorts ?? options.txPorts).map((port) => [options.ports[port]!, port]));
  }

  push(chunk: Buffer): void {
    const bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    this.cursor.bytes = bytes;
    let start = 0;
    for (let at = this.rest.length; at < bytes.length; at++) {
      if (bytes[at] !== LF) continue;
      this.line(start, at);
      start = at + 1;
    }
    this.rest = bytes.subarray(start);
    if (this.rest.length > MAX_LINE) {
      this.lineNumber++;
      this.fail(`line longer than ${MAX_LINE} bytes`, "this is not a text file: name a route file in `routes`");
    }
  }

  end(): Routes {
    if (this.rest.length > 0) this.push(Buffer.from("\n"));
    const { table, hops, skippedIpv6, replaced, options, file } = this;
    if (table.count === 0) {
      throw new ConfigError(file, "holds no IPv4 route", "add lines such as `0.0.0.0/0 NEXTHOP PORT`");
    }
    if (skippedIpv6 > 0) options.warn(`${file}: skipped ${skippedIpv6} IPv6 routes: the router forwards IPv4 only`);
    if (replaced > 0) options.warn(`${file}: ${replaced} lines repeat a prefix: the last line of each counts`);
    if (options.nextHops !== undefined && this.plain === 0) {
      options.warn(`${file}: \`next_hops\` has no effect: every line names its next hop`);
    }
    if (this.dumped > 0 && options.txPorts.length > 1) {
      const names = options.txPorts.map((port) => options.ports[port]).join(", ");
      options.warn(`${file}: a BGP dump names no ports: its next hops are spread over ${names}`);
    }
    return { table, nextHops: hops, skippedIpv6, replaced };
  }

  /** One line, bytes [start, end). */
  private line(start: number, end: number): void {
    this.lineNumber++;
    const { bytes } = this.cursor;
    let stop = end;
    while (stop > start && isBlank(bytes[stop - 1]!)) stop--;
    let at = start;
    while (at < stop && isBlank(bytes[at]!)) at++;
    if (at === stop || bytes[at] === HASH) return;
    this.cursor.at = at;
    const address = this.cursor.quad();
    if (address >= 0) {
      const length = this.cursor.slashLength();
      if (length >= 0 && (this.cursor.at === stop || isBlank(bytes[this.cursor.at]!))) {
        this.columns(address, length, at, stop);
        return;
      }
    }
    if (bytes.subarray(at, stop).includes(PIPE)) this.dumpLine(at, stop);
    else this.otherLine(at, stop);
  }

  /** A line that begins with an IPv4 prefix; the cursor stands behind it. */
  private columns(address: number, length: number, start: number, stop: number): void {
    this.refuseHostBits(address, length);
    let hop: number;
    if (this.cursor.atEnd(stop)) {
      this.plain++;
      hop = this.syntheticHop(hashPrefix(address, length) % this.synthetic.length);
    } else {
      const tokenAt = this.cursor.at;
      const nextHop = this.cursor.quad();
      if (nextHop < 0 || (this.cursor.at !== stop && !isBlank(this.cursor.bytes[this.cursor.at]!)))
        this.badNextHop(this.cursor.token(tokenAt, stop));
      const first = nextHop >>> 24;
      if (first === 0 || first >= 224) this.badNextHop(dotted(nextHop));
      const port = this.port(stop);
      if (!this.cursor.atEnd(stop)) {
        this.fail(
          `unexpected ${show(this.cursor.token(this.cursor.at, stop))} behind the port`,
          "write PREFIX/LEN NEXTHOP PORT; '#' begins a comment",
        );
      }
      hop = this.hops.intern(nextHop, port);
    }
    this.store(address, length, hop, false, start, stop);
  }

  private store(address: number, length: number, hop: number, dump: boolean, start: number, stop: number): void {
    if (hop === 0) {
      this.fail(
        `${show(this.cursor.token(start, stop))} needs one more next hop than the ${MAX_NEXT_HOPS} a table can hold`,
        "use fewer different pairs of next hop and port",
      );
    }
    const before = this.table.count;
    const route = this.table.intern(address, length);
    if (route < before) {
      if (dump && this.table.fromDump[route] === 1) return; // another peer's path to the same prefix
      this.replaced++;
    }
    this.table.fromDump[route] = dump ? 1 : 0;
    this.table.hops[route] = hop;
  }

  /** What does not begin with an IPv4 prefix: an IPv6 route, or a mistake. */
  private otherLine(start: number, stop: number): void {
    const text = this.cursor.token(start, stop);
    if (isIpv6Prefix(text)) {
      this.skippedIpv6++;
      return;
    }
    if (/^\d+(\.\d+){3}$/.test(text)) {
      this.fail(`${show(text)} has no prefix length`, `write PREFIX/LEN, for one address ${text}/32`);
    }
    this.fail(
      `${show(text)} is not an IPv4 prefix`,
      "write four decimal octets (0..255, no leading zeros), '/' and a length 0..32, e.g. 192.0.2.0/24",
    );
  }

  /** `bgpdump -m`: fields between '|': 0 type, 2 B, 5 prefix, 8 next hop. */
  private dumpLine(start: number, stop: number): void {
    const { cursor } = this;
    const { bytes } = cursor;
    const kindAt = cursor.field(start, stop, 2);
    const known = cursor.startsWith(start, TABLE_DUMP2) || cursor.startsWith(start, TABLE_DUMP);
    if (!known || bytes[kindAt] !== KIND_RIB || bytes[kindAt + 1] !== PIPE) {
      const found = `${cursor.token(start, stop, PIPE)}|..|${cursor.token(kindAt, stop, PIPE)}`;
      this.fail(
        `${show(found)} is not a route of a table dump: expected TABLE_DUMP2|..|B`,
        "make the file with `bgpdump -m` from a RIB, not from updates",
      );
    }
    const prefixAt = cursor.field(kindAt, stop, 3);
    cursor.at = prefixAt;
    const address = cursor.quad();
    const length = address < 0 ? -1 : cursor.slashLength();
    if (length < 0 || bytes[cursor.at] !== PIPE) {
      const text = cursor.token(prefixAt, stop, PIPE);
      if (!isIpv6Prefix(text)) {
        this.fail(`${show(text)} (field 6) is not an IPv4 prefix`, "make the file anew with `bgpdump -m`");
      }
      this.skippedIpv6++;
      return;
    }
    this.refuseHostBits(address, length);
    const hopAt = cursor.field(prefixAt, stop, 3);
    cursor.at = hopAt;
    const nextHop = cursor.quad();
    if (nextHop < 0 || (cursor.at !== stop && bytes[cursor.at] !== PIPE)) {
      const text = cursor.token(hopAt, stop, PIPE);
      if (!text.includes(":")) this.badNextHop(text);
      this.skippedIpv6++;
      return;
    }
    this.dumped++;
    const { txPorts } = this.options;
    const hop = this.hops.intern(nextHop, txPorts[hashPrefix(nextHop, 32) % txPorts.length]!);
    this.store(address, length, hop, true, start, stop);
  }

  /** Next hop i of the synthetic ones: address 100.64.0.1 + i, behind the transmitting ports in turn. */
  private syntheticHop(i: number): number {
    let hop = this.synthetic[i]!;
    if (hop === 0) {
      const { txPorts } = this.options;
      hop = this.hops.intern(SYNTHETIC_BASE + i, txPorts[i % txPorts.length]!);
      this.synthetic[i] = hop;
    }
    return hop;
  }

  /** The port column; the cursor stands behind the next hop. */
  private port(stop: number): number {
    const { txPorts, ports } = this.options;
    const good = () => `ports that transmit: ${[...this.txByName.keys()].join(", ")}`;
    if (this.cursor.atEnd(stop)) {
      if (txPorts.length > 1)
        this.fail("no port behind the next hop, and the chain has several", `add one of the ${good()}`);
      return txPorts[0]!;
    }
    if (this.cursor.startsWith(this.cursor.at, this.lastPortName)) {
      const behind = this.cursor.at + this.lastPortName.length;
      if (behind === stop || (behind < stop && isBlank(this.cursor.bytes[behind]!))) {
        this.cursor.at = behind;
        return this.lastPort;
      }
    }
    const name = this.cursor.token(this.cursor.at, stop);
    const port = this.txByName.get(name);
    if (port === undefined) {
      const why = ports.includes(name) ? "does not transmit" : "is not a port of the chain";
      this.fail(`${show(name)} ${why}`, `use one of the ${good()}`);
    }
    this.lastPort = port;
    this.lastPortName = Buffer.from(name);
    this.cursor.at += this.lastPortName.length;
    return port;
  }

  /**
   * A prefix with bits behind its length is refused and not masked, as by `ip route`: more often than not the length is what
   * is wrong, and masking 10.1.0.0/8 would take over the other 255 /16s.
   */
  private refuseHostBits(address: number, length: number): void {
    const mask = length === 0 ? 0 : (-1 << (32 - length)) >>> 0;
    const masked = (address & mask) >>> 0;
    if (masked === address) return;
    const found = `${dotted(address)}/${length}`;
    this.fail(
      `${found} has bits set behind its prefix length`,
      `write ${dotted(masked)}/${length}, or a longer length`,
    );
  }

  private badNextHop(text: string): never {
    this.fail(`next hop ${show(text)} is not a unicast IPv4 address`, "name the neighbour's address, e.g. 192.0.2.1");
  }

  private fail(problem: string, remedy: string): never {
    throw new ConfigError(`${this.file}:${this.lineNumber}`, problem, remedy);
  }
}

/** Near enough to tell an IPv6 prefix from a typing mistake: it is skipped in either case. */
function isIpv6Prefix(text: string): boolean {
  const match = /^[0-9a-f:.]+\/(\d{1,3})$/i.exec(text);
  return match !== null && text.split(":").length > 2 && Number(match[1]) <= 128;
}

/** Quoted, control characters escaped, not longer than a line: a binary file may have been named. */
function show(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}...` : text);
}
