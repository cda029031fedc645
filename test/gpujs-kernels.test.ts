/** Plain functions as kernels: what is allowed gives the same answers on every mode of gpu.js as in JavaScript, the rest is refused with its line. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { gpuTables } from "../nfs/nids/gpu-tables.js";
import { gpujs as nids } from "../nfs/nids/gpujs.js";
import { kernelNf } from "../runtime/chain/kernel-nf.js";
import { kernelText } from "../runtime/chain/kernel-text.js";
import { GPUJS_MODES, GpuJs, type GpuJsMode } from "../runtime/device/gpujs/compile.js";
import { Launch, NO_ANSWER } from "../runtime/device/gpujs/launch.js";
import type { GpuJsProgram } from "../runtime/device/gpujs/program.js";
import { PARAM_PLACE, ROW_HEADER } from "../runtime/device/queue.js";
import { RunError } from "../runtime/errors.js";
import { Arena, PARAM_WORDS, SLOT_SIZE } from "../runtime/packet/arena.js";
import { skipUnless } from "./skip.js";
import { freshSeed, Random } from "./support/random.js";
import { WgslRunner } from "./support/wgsl-runner.js";

const SEED = freshSeed();
const BYTES = 24;
const THREADS = 64;
type Kernel = (packet: ArrayLike<number>, length: number, ...parameters: number[]) => number;

/** Builds random functions of what a kernel may contain; numbers stay whole and below 2^24. */
class Author {
  private names: string[] = [];
  constructor(private readonly random: Random) {}

  kernel(): Kernel {
    this.names = ["length", "first", "second"];
    const lines = ["let sum = 0;", "let turns = 0;"];
    this.names.push("sum", "turns");
    for (let i = this.random.int(1, 4); i > 0; i--) lines.push(this.statement(2));
    lines.push(`return ${this.value(3)} & 65535;`);
    return new Function("packet", "length", "first", "second", lines.join("\n")) as Kernel;
  }

  private statement(depth: number): string {
    const { random } = this;
    const kind = depth === 0 ? 0 : random.int(0, 5);
    if (kind === 1) return `if (${this.condition()}) {\n${this.statement(depth - 1)}\n}`;
    if (kind === 2)
      return `if (${this.condition()}) sum = ${this.value(2)} & 4095; else turns = ${this.value(1)} & 255;`;
    if (kind === 3)
      return `for (let i = 0; i < ${random.pick(["length", "8", String(BYTES)])}; i++) {\nsum = (sum + packet[i]) & 65535;\n${this.statement(depth - 1)}\n}`;
    if (kind === 4)
      return `for (let k = ${random.int(0, 5)}; ${random.chance(0.5) ? "k < length" : `k < ${BYTES}`}; ${random.pick(["k++", "k += 2"])}) {\nif (packet[k] > ${random.int(0, 255)}) break;\nif (packet[k] !== ${random.int(0, 9)}) turns++;\n}`;
    if (kind === 5) return `if (${this.condition()}) return ${this.value(2)} & 1023;`;
    return `${random.pick(["sum", "turns"])} ${random.pick(["=", "="])} (${this.value(2)}) & ${random.pick([255, 1023, 65535])};`;
  }

  private condition(): string {
    const { random } = this;
    const one = `${this.value(1)} ${random.pick(["<", ">", "<=", ">=", "===", "!=="])} ${this.value(1)}`;
    return random.chance(0.3) ? `${one} ${random.pick(["&&", "||"])} !(${this.value(1)} < ${this.value(1)})` : one;
  }

  /** A whole number of 0 to 65535. */
  private value(depth: number): string {
    const { random } = this;
    const kind = depth === 0 ? random.int(0, 2) : random.int(0, 9);
    const [a, b] = depth === 0 ? ["", ""] : [this.value(depth - 1), this.value(depth - 1)];
    if (kind === 0) return String(random.int(0, 255));
    if (kind === 1)
      return `packet[${random.chance(0.5) ? random.int(0, BYTES - 1) : `(${random.pick(this.names)} & 15)`}]`;
    if (kind === 2) return random.pick(this.names);
    if (kind === 3) return `((${a} + ${b}) & 65535)`;
    if (kind === 4) return `((${a} & 255) * (${b} & 255))`;
    if (kind === 5) return `(${a} ${random.pick(["&", "|", "^"])} ${b})`;
    if (kind === 6) return `(${a} >> ${random.int(0, 8)})`;
    if (kind === 7) return `((${a} & 255) << ${random.int(0, 8)})`;
    if (kind === 8) return `(${this.condition()} ? ${a} : ${b})`;
    return random.pick([
      `Math.min(${a}, ${b})`,
      `Math.max(${a}, ${b})`,
      `Math.abs(${a} - ${b})`,
      `(~${a} & 65535)`,
      `Math.floor(${a})`,
    ]);
  }
}

function programOf(kernel: Kernel, parameters: readonly number[]): GpuJsProgram {
  const constants = () => ({ parameters: Float32Array.from(parameters) });
  return { kernel: kernelText(kernel, BYTES).text, most: BYTES, pads: true, words: [], constants };
}

/** Random packets in an arena; [first byte, bytes] of each. */
function packets(arena: Arena, random: Random): [number, number][] {
  return Array.from({ length: THREADS }, (_, slot) => {
    for (let i = 0; i < SLOT_SIZE; i++)
      arena.u8[slot * SLOT_SIZE + i] = random.chance(0.2) ? random.int(0, 9) : random.int(0, 255);
    const place: [number, number] = [random.int(0, 300), random.pick([0, 1, BYTES - 1, BYTES, random.int(0, BYTES)])];
    arena.params[slot * PARAM_WORDS + PARAM_PLACE] = place[0] | (place[1] << 16);
    return place;
  });
}

const SHAPE = { workgroups: 1, workgroupSize: THREADS, depth: 1 };
const ROW = Uint32Array.from({ length: ROW_HEADER + THREADS }, (_, i) => Math.max(0, i - ROW_HEADER));

async function answers(gpu: GpuJs, arena: Arena, program: GpuJsProgram): Promise<Uint32Array> {
  const launch = new Launch(gpu, program, new Uint32Array(0), arena, SHAPE, THREADS);
  launch.collect(await launch.run(ROW, [0]));
  launch.free();
  return Uint32Array.from({ length: THREADS }, (_, slot) => arena.params[slot * PARAM_WORDS]!);
}

async function openMode(mode: GpuJsMode): Promise<GpuJs | undefined> {
  const lack = mode === "webgpu" ? await WgslRunner.lack() : undefined;
  if (skipUnless(lack === undefined, lack ?? "")) return undefined;
  return GpuJs.open(mode);
}

for (const mode of GPUJS_MODES) {
  test(`${mode}: random functions of all that is allowed answer as in JavaScript`, async () => {
    const gpu = await openMode(mode);
    if (gpu === undefined) return;
    const random = new Random(SEED);
    const author = new Author(random);
    const arena = Arena.create(THREADS);
    const seen = new Set<number>();
    for (let round = 0; round < 60; round++) {
      const kernel = author.kernel();
      const places = packets(arena, random);
      const parameters = [random.int(0, 255), random.int(0, 2 ** 16 - 1)];
      const found = await answers(gpu, arena, programOf(kernel, parameters));
      for (const [slot, [first, length]] of places.entries()) {
        const packet = new Uint8Array(BYTES);
        packet.set(arena.u8.subarray(slot * SLOT_SIZE + first, slot * SLOT_SIZE + first + length));
        const wanted = kernel(packet, length, ...parameters);
        seen.add(wanted);
        if (found[slot] !== wanted) {
          assert.is(
            found[slot],
            wanted,
            `seed ${SEED} round ${round} packet ${packet} ${length} parameters ${parameters}\n${kernel}`,
          );
        }
      }
    }
    assert.ok(seen.size > 150, `${seen.size} answers: vacuous (seed ${SEED})`);
    await gpu.close();
    arena.free();
  });

  test(`${mode}: an index outside of what is seen is no number, and no answer`, async () => {
    const gpu = await openMode(mode);
    if (gpu === undefined) return;
    const arena = Arena.create(THREADS);
    packets(arena, new Random(SEED));
    const beyond: Kernel = (packet, length) => packet[length + 24]! + 1;
    assert.ok((await answers(gpu, arena, programOf(beyond, [0]))).every((answer) => answer === NO_ANSWER));
    const before: Kernel = (packet) => packet[0 - 5]! * 0 + 3;
    assert.ok(
      (await answers(gpu, arena, programOf(before, [0]))).every((answer) => answer === 3),
      "before the first is the first",
    );
    await gpu.close();
    arena.free();
  });
}

test("functions, methods and arrows are read", () => {
  const spec = {
    kernel(packet: ArrayLike<number>) {
      return packet[0]!;
    },
  };
  for (const kernel of [
    spec.kernel,
    (packet: ArrayLike<number>) => packet[1]!,
    function named(packet: ArrayLike<number>) {
      return packet[2]!;
    },
  ]) {
    const { text } = kernelText(kernel, 8);
    assert.match(text, /^function kernel\(.*bytes\[at \+ Math\.min\(Math\.max\(Math\.floor\(\d\), 0\), 8\)\]/s);
  }
});

const REFUSED: [body: string, line: number, words: RegExp][] = [
  ["return packet.length;", 2, /of objects a kernel knows packet\[i\] and Math alone/],
  ["let a = 1;\nreturn a + other;", 3, /"other" is not known here/],
  ["const p = packet;\nreturn p[0];", 2, /"packet" can only be indexed/],
  ["packet[0] = 1;\nreturn 0;", 2, /assigns to variables only/],
  ["return packet[0] / 3;", 2, /operator \/: not exact on every GPU/],
  ["let a = 5;\n\na %= 2; return a;", 4, /operator %=/],
  ["return packet[0] >>> 1;", 2, /operator >>>/],
  ["return Math.sqrt(packet[0]);", 2, /can call Math\.abs, Math\.floor, Math\.max, Math\.min and nothing else/],
  ["return [1][0];", 2, /of objects a kernel knows/],
  ["const f = () => 1; return f();", 2, /cannot have this: arrow function expression/],
  ["var a = 1; return a;", 2, /write let or const/],
  ["let a; a = 1; return a;", 2, /"a" needs a value/],
  ['return "1";', 2, /knows numbers only, found "1"/],
  ["while (true) {}", 2, /cannot have this: while statement/],
  ["try { return 1; } catch { return 2; }", 2, /cannot have this: try statement/],
  ["return this.x;", 2, /of objects a kernel knows/],
  ["let i = 0; for (; i < 3; i++) {} return i;", 2, /a loop of a kernel is for/],
  ["let a = 1; let b = (a = 2); return b;", 2, /an assignment stands for itself/],
  ["packet[0]; return 1;", 2, /has no effect/],
  ["if (length > 3) {\nlet a = 1; }\nreturn a;", 4, /"a" is not known here/],
  ["for (let i = 0; i < length; i++) {\n    if (packet[i] > 1) continue;\n}\nreturn 0;", 3, /cannot have continue/],
  ["return packet[0] * 0.5;", 2, /whole numbers below 2\^24, found 0\.5/],
  ["return 16777216;", 2, /whole numbers below 2\^24/],
  ["return;", 2, /a kernel returns a number/],
  ["return packet?.[0];", 2, /cannot have this: chain expression|of objects/],
];
test("what a kernel cannot have is refused with its line", () => {
  for (const [body, line, words] of REFUSED) {
    const kernel = new Function("packet", "length", body) as Kernel;
    // The text of such a function begins with two lines for its parameters.
    try {
      kernelText(kernel, 8);
    } catch (error) {
      assert.match((error as Error).message, words, body);
      assert.is((error as { line: number }).line, line, body);
      continue;
    }
    assert.unreachable(`not refused: ${body}`);
  }
  for (const kernel of [Math.abs, ((packet: number[]) => packet[0]).bind(undefined)]) {
    assert.throws(() => kernelText(kernel as never, 8), /native or bound functions/);
  }
  assert.throws(() => kernelText((async () => 1) as never, 8), /plain function/);
  assert.throws(() => kernelText((([a]: number[]) => a) as never, 8), /parameters of a kernel are plain names/);
});

test("specifications that are wrong name the key", () => {
  const good = { type: "x", outcomes: [{ name: "a" }], bytes: 8, kernel: () => 0 };
  const cases: [object, RegExp][] = [
    [{ ...good, bytes: 0 }, /bytes: found 0, expected a whole number of 1 to 1536/],
    [{ ...good, from: "l5" }, /from: found l5, expected frame, l3, l4, payload/],
    [{ ...good, kernel: 3 }, /kernel is missing/],
    [{ ...good, finish: 3 }, /finish: expected a function/],
    [{ ...good, kernal: 3 }, /unknown key "kernal"; known keys: type/],
  ];
  for (const [spec, words] of cases) assert.throws(() => kernelNf(spec as never), words);
});

test("an automaton that gpu.js cannot number is refused", () => {
  const random = new Random(SEED);
  const patterns = Array.from({ length: 1500 }, () => ({ bytes: random.bytes(60), nocase: false }));
  assert.throws(
    () => nids.constants(gpuTables(patterns)),
    (error: Error) => error instanceof RunError && /gpu\.js counts exactly up to 16777216/.test(error.message),
  );
});

test.run();
