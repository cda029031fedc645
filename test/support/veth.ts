/**
 * Virtual wires in a network namespace of the test's own: pairs of interfaces NAME and NAMEp ("peer"). Nothing on them reaches the
 * machine's network, and the namespace goes with the test, however that ends.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { RunResult } from "../../runtime/engine/result.js";
import { MAIN } from "../chain-support.js";

const spaces = new Set<Veth>();
process.on("exit", () => {
  for (const space of spaces) space.remove();
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));

/** Why there can be no wires here; undefined where there can. */
export function vethLack(...tools: string[]): string | undefined {
  if (process.getuid?.() !== 0) return "virtual wires need root";
  for (const tool of ["ip", ...tools]) {
    if (spawnSync("which", [tool]).status !== 0) return `${tool} is not installed (doctor --install=test)`;
  }
  try {
    sweep();
    const space = new Veth();
    space.wire("probe");
    space.remove();
    return undefined;
  } catch (error) {
    return `no virtual wires here: ${(error as Error).message.split("\n").slice(0, 2).join(" ")}`;
  }
}

/** Removes namespaces of tests that were killed, and could not. */
function sweep(): void {
  const { stdout } = spawnSync("ip", ["netns", "list"], { encoding: "utf8" });
  for (const [name, pid] of stdout.matchAll(/^wingbeat-(\d+)-\d+/gm)) {
    if (!existsSync(`/proc/${pid}`)) spawnSync("ip", ["netns", "del", name], { stdio: "ignore" });
  }
}

let made = 0;

export class Veth {
  readonly name = `wingbeat-${process.pid}-${made++}`;
  private readonly children = new Set<ChildProcess>();

  constructor() {
    execFileSync("ip", ["netns", "add", this.name], { stdio: "pipe" });
    spaces.add(this);
    // The kernel must not send anything by itself: what arrives is what a test sends.
    this.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1");
  }

  /** A pair NAME and NAMEp, both up. */
  wire(name: string, queues = 1): void {
    const some = ["numrxqueues", String(queues), "numtxqueues", String(queues)];
    this.ip("link", "add", "name", name, ...some, "type", "veth", "peer", "name", `${name}p`, ...some);
    this.ip("link", "set", "dev", name, "up");
    this.ip("link", "set", "dev", `${name}p`, "up");
  }

  /** Moves NAMEp to another namespace, a host of its own with its own stack, and puts it up there. */
  hand(name: string, to: Veth): void {
    this.ip("link", "set", "dev", `${name}p`, "netns", to.name);
    to.ip("link", "set", "dev", `${name}p`, "up");
  }

  /** Gives an interface an address (192.0.2.1/24, 2001:db8::1/64), which is there at once; an IPv6 one turns IPv6 on for it. */
  address(name: string, address: string): void {
    const six = address.includes(":");
    if (six) this.run("sysctl", "-qw", `net.ipv6.conf.${name}.disable_ipv6=0`);
    this.ip("address", "add", address, "dev", name, ...(six ? ["nodad"] : []));
  }

  /** The MAC address of an interface. */
  mac(name: string): string {
    const [link] = JSON.parse(this.ip("-json", "link", "show", "dev", name)) as [{ address: string }];
    return link.address;
  }

  /** `ip ARGS` in the namespace. @returns its output */
  ip(...args: string[]): string {
    return execFileSync("ip", ["-n", this.name, ...args], { encoding: "utf8", stdio: "pipe" });
  }

  /** A program in the namespace, to its end. @returns its output */
  run(...command: string[]): string {
    return execFileSync("ip", ["netns", "exec", this.name, ...command], { encoding: "utf8", stdio: "pipe" });
  }

  /** True where one ping is answered within so many seconds. */
  answers(address: string, seconds: number, bytes = 56): boolean {
    const ping = ["ping", "-c", "1", "-W", `${seconds}`, "-s", `${bytes}`, address];
    return spawnSync("ip", ["netns", "exec", this.name, ...ping]).status === 0;
  }

  start(cwd: string, ...command: string[]): Running {
    const child = spawn("ip", ["netns", "exec", this.name, ...command], { cwd });
    this.children.add(child);
    return new Running(child, cwd);
  }

  /** What starts `wingbeat run CHAIN ARGS`. */
  command(chain: string, ...args: string[]): string[] {
    return [process.execPath, MAIN, "run", chain, "--quiet", ...args];
  }

  /** `wingbeat run CHAIN ARGS`; its result goes to a file. */
  async wingbeat(cwd: string, chain: string, ...args: string[]): Promise<Running> {
    const json = join(cwd, "result.json");
    if (existsSync(json)) writeFileSync(json, "");
    const running = this.start(cwd, ...this.command(chain, "--json", json, ...args));
    running.json = json;
    return running;
  }

  /** Packets an interface has received, or the kernel dropped on its way in. */
  received(name: string): number {
    const { packets, dropped } = this.packets(name);
    return packets + dropped;
  }

  /** The counters of an interface that {@link received} adds up. */
  packets(name: string): { packets: number; dropped: number } {
    const [link] = JSON.parse(this.ip("-json", "-s", "link", "show", "dev", name)) as [
      { stats64: { rx: { packets: number; dropped: number } } },
    ];
    return link.stats64.rx;
  }

  /** Packets an interface has sent, without those that it dropped. */
  sent(name: string): number {
    const [link] = JSON.parse(this.ip("-json", "-s", "link", "show", "dev", name)) as [
      { stats64: { tx: { packets: number } } },
    ];
    return link.stats64.tx.packets;
  }

  /** Waits until an interface has received so many packets in all. */
  async until(name: string, packets: number): Promise<void> {
    await until(() => this.received(name) >= packets, `${packets} packets at ${name}, not ${this.received(name)}`);
  }

  /** True where an XDP program is attached to an interface. */
  attached(name: string): boolean {
    return /\bxdp/.test(this.ip("-details", "link", "show", "dev", name));
  }

  /** How many have asked for promiscuous mode of an interface. */
  promiscuity(name: string): number {
    const [link] = JSON.parse(this.ip("-json", "-details", "link", "show", "dev", name)) as [{ promiscuity: number }];
    return link.promiscuity;
  }

  remove(): void {
    for (const child of this.children) child.kill("SIGKILL");
    spaces.delete(this);
    spawnSync("ip", ["netns", "del", this.name], { stdio: "ignore" });
  }
}

/**
 * Waits for something that comes in its own time; minutes on a busy machine.
 * @param instead what there is in its place, for the message
 */
export async function until(holds: () => boolean, what: string, instead?: () => string): Promise<void> {
  const deadline = Date.now() + 100_000;
  while (!holds()) {
    if (Date.now() > deadline) {
      const found = instead === undefined ? "" : `; there is: ${instead()}`;
      throw new Error(`100 seconds have passed, and there is no sign of: ${what}${found}`);
    }
    await delay(20);
  }
}

export class Running {
  output = "";
  code: number | null | undefined;
  json = "";

  /** @param cwd the folder it runs in */
  constructor(
    readonly child: ChildProcess,
    readonly cwd: string,
  ) {
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.on("data", (text) => {
        this.output += text;
      });
    }
    child.on("close", (code) => {
      this.code = code;
    });
  }

  /** Waits until it has said something. */
  async says(words: RegExp): Promise<void> {
    await until(
      () => words.test(this.output) || this.code !== undefined,
      `${words}`,
      () => this.output,
    );
    if (!words.test(this.output)) throw new Error(`it ended without saying ${words}: ${this.output}`);
  }

  /** `ip netns exec` becomes the program it starts: a signal reaches it. */
  async end(signal?: NodeJS.Signals): Promise<number | null> {
    if (signal !== undefined) this.child.kill(signal);
    await until(
      () => this.code !== undefined,
      "the end of the program",
      () => this.output,
    );
    return this.code!;
  }

  /** Interrupts a run, or waits for its end, which must be a good one, and reads its result. */
  async finish(signal: NodeJS.Signals | "by itself" = "SIGINT"): Promise<RunResult> {
    const code = await this.end(signal === "by itself" ? undefined : signal);
    if (code !== 0) throw new Error(`it ended with ${code}: ${this.output}`);
    return JSON.parse(readFileSync(this.json, "utf8")) as RunResult;
  }
}
