/**
 * C peers: the same work written in C on the same library, compiled here and measured in the same run, so that a ratio means
 * something on a machine whose absolute figures do not.
 */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { RunError } from "../runtime/errors.js";
import { cacheFolder } from "../runtime/native/library-path.js";
import type { Subject } from "./harness.js";

const SOURCES = join(dirname(fileURLToPath(import.meta.url)), "../../bench/peers");

export interface PeerSpec {
  /** bench/peers/NAME.c */
  readonly source: string;
  /** Asks pkg-config for compiler flags, where the library has a .pc file. */
  readonly pkgConfig?: string;
  /** Further linker flags, e.g. "-lIPSec_MB". */
  readonly link?: readonly string[];
  /** Debian packages that compiling needs, for the remedy. */
  readonly packages: readonly string[];
}

/** Why there is no peer: one line with the remedy. */
export class PeerSkipped {
  constructor(readonly reason: string) {}
}

export class Peer implements Subject {
  readonly role = "peer";
  private readonly lines: AsyncIterator<string>;
  private stderr = "";

  private constructor(
    readonly name: string,
    private readonly child: ChildProcessWithoutNullStreams,
  ) {
    this.lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    child.stderr.on("data", (chunk) => {
      this.stderr = `${this.stderr}${chunk}`.slice(-2000);
    });
    // A peer that died shows as the end of its output; the broken pipe adds nothing.
    child.stdin.on("error", () => {});
  }

  /** What the peer printed behind `ready`: library and version. */
  engine = "";

  /**
   * Compiles (once) and starts a peer.
   * @param framesFile as frames.ts writes it
   * @throws RunError where it compiles but does not start
   */
  static async open(spec: PeerSpec, framesFile: string, ...config: string[]): Promise<Peer | PeerSkipped> {
    const program = compilePeer(spec);
    if (program instanceof PeerSkipped) return program;
    const peer = new Peer(`C peer (${spec.source})`, spawn(program, [framesFile, ...config]));
    for (;;) {
      // Libraries may chat on stdout before they are ready.
      const line = await peer.nextLine();
      if (!line.startsWith("ready ")) continue;
      peer.engine = line.slice("ready ".length);
      return peer;
    }
  }

  async repeat(): Promise<number> {
    this.child.stdin.write("go\n");
    const line = await this.nextLine();
    const nanoseconds = Number(line);
    if (!(nanoseconds > 0))
      throw new RunError(this.name, `printed ${JSON.stringify(line)}, expected nanoseconds per packet`);
    return nanoseconds;
  }

  async close(): Promise<void> {
    if (this.child.exitCode !== null) return;
    const exit = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.stdin.end();
    await exit;
  }

  private async nextLine(): Promise<string> {
    const next = await this.lines.next();
    if (next.done)
      throw new RunError(this.name, `ended early: ${this.stderr.trim() || "no message"}`, "run it by hand");
    return next.value;
  }
}

/** The program of a peer, compiled; from the cache where neither sources nor flags have changed. */
export function compilePeer(spec: PeerSpec): string | PeerSkipped {
  const remedy = `apt-get install ${spec.packages.join(" ")}`;
  const skip = (why: string) => new PeerSkipped(`C peer ${spec.source}: ${why} (${remedy})`);
  const source = join(SOURCES, `${spec.source}.c`);
  if (!existsSync(source)) return new PeerSkipped(`C peer ${spec.source}: ${source} is missing`);
  const flags: string[] = [];
  if (spec.pkgConfig !== undefined) {
    const found = spawnSync("pkg-config", ["--cflags", "--libs", spec.pkgConfig], { encoding: "utf8" });
    if (found.error !== undefined) return skip("pkg-config is not installed");
    if (found.status !== 0) return skip(`pkg-config does not know ${spec.pkgConfig}`);
    flags.push(...found.stdout.trim().split(/\s+/));
  }
  // Last, because pkg-config may name an older processor.
  flags.push(...(spec.link ?? []), "-march=native");

  const hash = createHash("sha256").update(flags.join(" ")).update(readFileSync(source));
  for (const name of readdirSync(SOURCES).sort())
    if (name.endsWith(".h")) hash.update(readFileSync(join(SOURCES, name)));
  const cache = join(cacheFolder(), "peers");
  mkdirSync(cache, { recursive: true });
  const program = join(cache, `${spec.source}-${hash.digest("hex").slice(0, 16)}`);
  if (existsSync(program)) return program;

  const unfinished = `${program}.${process.pid}`;
  const cc = spawnSync("gcc", ["-O3", "-o", unfinished, source, ...flags], { encoding: "utf8" });
  if (cc.error !== undefined) return skip("gcc is not installed");
  if (cc.status !== 0) {
    const line = cc.stderr.split("\n").find((text) => /error|cannot find/.test(text));
    return skip(`does not compile: ${line ?? cc.stderr.trim()}`);
  }
  renameSync(unfinished, program);
  return program;
}
