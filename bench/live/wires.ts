/**
 * Virtual wires in a network namespace of a bench's own, and programs in it. Nothing on them reaches the machine's network. The namespace and
 * the programs go with this process, however it ends: by Ctrl-C, by an exception, or killed (what is left of a namespace then, the
 * next bench removes).
 */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn, spawnSync } from "node:child_process";
import { createInterface } from "node:readline";
import { RunError } from "../../runtime/errors.js";
import { compilePeer, PeerSkipped } from "../peer.js";

const TOOLS = { ip: "iproute2", setpriv: "util-linux", taskset: "util-linux" } as const;
const NAME = /^wingbeat-bench-(\d+)$/;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** s without a word from a program before it is given up. */
const PATIENCE_S = 60;

/** Why there can be no wires here; undefined where there can. */
export function whyNoWires(): string | undefined {
  if (process.getuid?.() !== 0) return "virtual wires need root";
  for (const [tool, debian] of Object.entries(TOOLS)) {
    if (spawnSync("which", [tool]).status !== 0) return `${tool} is not installed (apt-get install ${debian})`;
  }
  const peer = livePeer();
  if (peer instanceof PeerSkipped) return peer.reason;
  try {
    Wires.make().remove();
  } catch (error) {
    return `no virtual wires here: ${(error as Error).message.split("\n").slice(0, 2).join(" ")}`;
  }
  return undefined;
}

/** The program of peers/live.c. */
export function livePeer(): string | PeerSkipped {
  return compilePeer({ source: "live", packages: ["gcc", "linux-libc-dev"] });
}

/** Counters of an interface, since it was made. */
export interface LinkCounters {
  readonly rx: number;
  readonly tx: number;
}

/** Counters of all interfaces at one moment. */
export interface Look {
  /** CLOCK_MONOTONIC. */
  readonly ns: number;
  readonly interfaces: Readonly<Record<string, LinkCounters>>;
}

export class Wires {
  private readonly name = `wingbeat-bench-${process.pid}`;
  private readonly programs: Program[] = [];
  private watcher: Program | undefined;
  readonly processors = findProcessors();

  private readonly onExit = () => this.remove();
  private readonly onSignal = () => process.exit(1);

  private constructor() {}

  /** Makes the namespace. */
  static make(): Wires {
    removeLeftOvers();
    const wires = new Wires();
    execFileSync("ip", ["netns", "add", wires.name], { stdio: "pipe" });
    process.on("exit", wires.onExit);
    for (const signal of SIGNALS) process.on(signal, wires.onSignal);
    const quiet = ["net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"];
    // The kernel sends nothing by itself: what arrives is what the bench sends.
    execFileSync("ip", ["netns", "exec", wires.name, "sysctl", "-qw", ...quiet], { stdio: "pipe" });
    return wires;
  }

  /** A pair NAME and NAMEp, both up. */
  wire(name: string): void {
    this.ip("link", "add", "name", name, "type", "veth", "peer", "name", `${name}p`);
    for (const end of [name, `${name}p`]) this.ip("link", "set", "dev", end, "up");
  }

  private ip(...args: string[]): void {
    execFileSync("ip", ["-n", this.name, ...args], { stdio: "pipe" });
  }

  /** Starts a program on a processor; it dies with this process. @param ready what it says when it has come up */
  async start(processor: number, ready: RegExp, ...command: string[]): Promise<Program> {
    const pinned = ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", String(processor), ...command];
    const program = new Program(command.join(" "), spawn("ip", ["netns", "exec", this.name, ...pinned]));
    this.programs.push(program);
    await program.says(ready);
    return program;
  }

  /** A mode of peers/live.c. */
  peer(processor: number, ...args: (string | number)[]): Promise<Program> {
    return this.start(processor, /^ready$/, livePeer() as string, ...args.map(String));
  }

  async look(): Promise<Look> {
    this.watcher ??= await this.peer(this.processors.sender, "watch");
    return JSON.parse(await this.watcher.ask("")) as Look;
  }

  remove(): void {
    process.off("exit", this.onExit);
    for (const signal of SIGNALS) process.off(signal, this.onSignal);
    for (const program of this.programs) program.kill();
    spawnSync("ip", ["netns", "del", this.name], { stdio: "ignore" });
  }
}

/** Namespaces of benches that were killed. */
function removeLeftOvers(): void {
  const list = JSON.parse(execFileSync("ip", ["-json", "netns", "list"], { encoding: "utf8" }) || "[]") as {
    name: string;
  }[];
  for (const { name } of list) {
    const [, pid] = NAME.exec(name) ?? [];
    if (pid === undefined) continue;
    try {
      process.kill(Number(pid), 0);
    } catch {
      spawnSync("ip", ["netns", "del", name], { stdio: "ignore" });
    }
  }
}

/** Processors for what sends and for what forwards; on a machine with two, what counts has that of the sender. */
export interface Processors {
  readonly sender: number;
  readonly forwarder: number;
}

/** The first and the last of those this process may use. */
function findProcessors(): Processors {
  const list = execFileSync("taskset", ["-cp", String(process.pid)], { encoding: "utf8" })
    .split(":")
    .pop()!;
  const allowed = list.trim().split(/[,-]/).map(Number);
  return { sender: allowed[0]!, forwarder: allowed[allowed.length - 1]! };
}

/** A program in the namespace. */
export class Program {
  private readonly lines: string[] = [];
  private errors = "";
  private wake: () => void = () => {};
  private ended = false;

  constructor(
    readonly name: string,
    private readonly child: ChildProcessWithoutNullStreams,
  ) {
    const hear = (line: string) => {
      this.lines.push(line);
      this.wake();
    };
    createInterface({ input: child.stdout }).on("line", hear);
    createInterface({ input: child.stderr }).on("line", (line) => {
      this.errors = `${this.errors}${line}\n`.slice(-2000);
      hear(line);
    });
    child.stdin.on("error", () => {});
    child.on("close", () => {
      this.ended = true;
      this.wake();
    });
  }

  /** `ip netns exec` becomes the program it starts, and so do the others. */
  get pid(): number {
    return this.child.pid!;
  }

  /** Waits for a line. @throws RunError where the program ends without it */
  async says(words: RegExp): Promise<string> {
    const deadline = Date.now() + PATIENCE_S * 1000;
    for (;;) {
      while (this.lines.length > 0) {
        const line = this.lines.shift()!;
        if (words.test(line)) return line;
      }
      if (this.ended) throw new RunError("bench", `${this.name} ended: ${this.errors.trim() || "no message"}`);
      if (Date.now() > deadline)
        throw new RunError("bench", `${this.name} does not say ${words} in ${PATIENCE_S} s: ${this.errors}`);
      await new Promise<void>((resolve) => {
        this.wake = resolve;
        setTimeout(resolve, 1000).unref();
      });
    }
  }

  /** @returns the JSON that comes back for a line */
  ask(line: string): Promise<string> {
    this.child.stdin.write(`${line}\n`);
    return this.says(/^\{/);
  }

  pause(): void {
    this.child.kill("SIGSTOP");
  }

  resume(): void {
    this.child.kill("SIGCONT");
  }

  /** Ends it in order. @returns once it has ended @throws RunError where it fails */
  async end(signal: "SIGINT" | "SIGTERM" = "SIGTERM"): Promise<void> {
    const closed = this.ended || new Promise((resolve) => this.child.once("close", resolve));
    this.resume();
    this.child.kill(signal);
    await closed;
    if (this.child.exitCode !== 0) {
      throw new RunError("bench", `${this.name} ended with ${this.child.exitCode}: ${this.errors.trim()}`);
    }
  }

  /** Ends it in order. @returns the JSON it prints at its end */
  async result<T>(): Promise<T> {
    await this.end();
    return JSON.parse(await this.says(/^\{/)) as T;
  }

  /** Waits for its own end. @returns the JSON it prints */
  async itself<T>(): Promise<T> {
    const closed = this.ended || new Promise((resolve) => this.child.once("close", resolve));
    await closed;
    return JSON.parse(await this.says(/^\{/)) as T;
  }

  kill(): void {
    this.child.kill("SIGKILL");
  }
}
