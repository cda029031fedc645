/** `command:CMD`: a program that prints watts, a line each, and is kept running: an outlet's meter, a management controller, a GPU tool. */
import { type ChildProcess, spawn } from "node:child_process";
import { RunError } from "../../errors.js";
import type { MeterInfo } from "./meter.js";
import { parseWatts, SERIES_COVERS, Series, seriesInfo } from "./series.js";
import type { Clock, Source, SpanUsed } from "./source.js";

/** ms within which two lines must have come: the interval is taken from them. */
const FIRST_MS = 15_000;
const LONGEST_LINE = 4096;
/** Of its stderr, for messages. */
const KEPT = 400;

export class CommandMeter implements Source {
  readonly covers = SERIES_COVERS;
  private readonly child: ChildProcess;
  private readonly series: Series;
  private rest = "";
  private line = 0;
  private said = "";
  private error: Error | undefined;
  private closing = false;
  /** It has ended, and all that it started with it, or closed its output. */
  private over = false;
  /** Called when something came, or nothing will. */
  private notify = (): void => {};

  private constructor(
    private readonly command: string,
    private readonly clock: Clock,
  ) {
    this.series = new Series(`command ${command}`, clock);
    // A process group of its own, so that what the shell starts ends with it.
    this.child = spawn("/bin/sh", ["-c", command], { stdio: ["ignore", "pipe", "pipe"], detached: true });
    this.child.on("error", (error) => this.fail(`cannot be started: ${error.message}`));
    // Not `exit`: as long as its output is open, lines may come, and at its end all that it said is here.
    this.child.on("close", (code, signal) => this.ended(code, signal));
    this.child.stdout!.setEncoding("utf8").on("data", (text: string) => this.hear(text));
    this.child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.said = (this.said + text).slice(-KEPT);
    });
    process.once("exit", this.kill);
  }

  /** Waits for the first two lines. @throws RunError where they do not come, or are no watts */
  static async open(command: string, clock: Clock): Promise<CommandMeter> {
    const meter = new CommandMeter(command, clock);
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      timer = setTimeout(resolve, FIRST_MS);
      meter.notify = () => {
        if (meter.error !== undefined || meter.series.count >= 2) resolve();
      };
      meter.notify();
    });
    clearTimeout(timer);
    meter.notify = () => {};
    if (meter.error === undefined && meter.series.count < 2) {
      meter.fail(`printed ${meter.series.count} lines in ${FIRST_MS / 1000} s; two are needed to begin`);
    }
    if (meter.error !== undefined) {
      meter.close();
      throw meter.error;
    }
    return meter;
  }

  get info(): MeterInfo {
    return seriesInfo("command", this.series, "watts as the command prints them, dated by their arrival");
  }

  begin(): void {
    this.mustWork();
    this.series.begin();
  }

  poll(): void {
    this.mustWork();
    this.series.mustBeAlive();
  }

  end(): SpanUsed {
    this.mustWork();
    return this.series.end();
  }

  close(): void {
    this.closing = true;
    process.off("exit", this.kill);
    this.kill();
    this.child.stdout?.destroy();
    this.child.stderr?.destroy();
    this.child.unref();
  }

  private readonly kill = (): void => {
    const { pid } = this.child;
    if (pid === undefined || this.over) return;
    try {
      process.kill(-pid, "SIGTERM");
    } catch {
      // It went by itself in this moment.
    }
  };

  private mustWork(): void {
    if (this.error !== undefined) throw this.error;
  }

  private hear(text: string): void {
    const now = this.clock();
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop()!;
    if (this.rest.length > LONGEST_LINE) this.fail(`line ${this.line + 1} has no end after ${LONGEST_LINE} characters`);
    // Lines that come together, since this thread or the command was held up, were printed at intervals all the same.
    const since = this.series.newest?.ms ?? now;
    for (const [i, line] of lines.entries()) {
      this.take(line.replace(/\r$/, ""), since + ((now - since) * (i + 1)) / lines.length);
    }
    this.notify();
  }

  private take(line: string, ms: number): void {
    this.line++;
    if (line.trim() === "" || this.error !== undefined) return;
    const watts = parseWatts(line);
    if (watts === undefined)
      this.fail(`line ${this.line} is "${line.slice(0, 80)}"; expected watts, a number 0 or above`);
    else this.series.add({ ms, ...watts }, this.series.domain.name);
  }

  private ended(code: number | null, signal: NodeJS.Signals | null): void {
    this.over = true;
    if (this.closing) return;
    const how = signal === null ? `exit code ${code}` : signal;
    const words = this.said.trim();
    this.fail(`ended (${how})${words === "" ? "" : `, saying: ${words}`}; it must print as long as it is measured`);
  }

  private fail(problem: string): void {
    const remedy = "it has to print a line of watts again and again, unbuffered (stdbuf -oL)";
    this.error ??= new RunError(`--meter command:${this.command}`, problem, remedy);
    this.notify();
  }
}
