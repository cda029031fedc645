/** NFs of users: modules that a chain names. What is wrong with one is said with its file and line, and no packet is lost. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadChain } from "../runtime/chain/load.js";
import type { RunResult } from "../runtime/engine/result.js";
import { ConfigError } from "../runtime/errors.js";
import { folder, wingbeat } from "./chain-support.js";

const PACKETS = 5000;
const CHAIN = {
  name: "own",
  ports: { in: { driver: "generator", count: PACKETS, size: 100, seed: 5 }, out: { driver: "null" } },
  nfs: { mine: { type: "./mine.mjs" } },
  policy: "policy.csv",
};
const POLICY = "*,ingress,mine\n*,mine,egress\n";

/** A module whose parts may be replaced; line 1 is the import. */
function moduleOf(parts: Record<string, string> = {}, before = ""): string {
  const all: Record<string, string> = {
    type: '"mine"',
    outcomes: '[{ name: "odd" }, { name: "even", drops: true }]',
    create:
      "(loaded, { arena }) => ({ process(batch) { for (let i = 0; i < batch.count; i++) batch.outcomes[i] = arena.arrival[batch.slots[i]] % 2 ? 0 : 1; } })",
    ...parts,
  };
  const keys = Object.entries(all).filter(([, text]) => text !== "");
  return `import { z, FLAG, SLOT_SIZE, ConfigError } from "wingbeat/nf";\n${before}\nexport const nf = {\n${keys.map(([key, text]) => `  ${key}: ${text},\n`).join("")}};\n`;
}

function files(module: string, more: object = {}): Record<string, string | object> {
  return { "chain.json": { ...CHAIN, ...more }, "policy.csv": POLICY, "mine.mjs": module };
}

/** Loads the chain here and now, which is what `check` does, and must be refused. */
async function refused(files: Record<string, string | object>): Promise<Error> {
  try {
    await loadChain(join(folder(files), "chain.json"), { warn: () => {} });
  } catch (error) {
    return error as Error;
  }
  throw new Error("nothing was refused");
}

const CORES = [
  ["--cores", "d1"],
  ["--cores", "d1n1"],
  ["--cores", "d2n2"],
  ["--cores", "d1n1", "--order", "none"],
];

test("an NF of the user's runs in every arrangement of cores and orders, with its outcomes in the ledger", () => {
  const cwd = folder(files(moduleOf()));
  for (const args of CORES) {
    const done = wingbeat(["run", "chain.json", "--json", "-", "--quiet", ...args], cwd);
    assert.is(done.code, 0, done.stderr);
    const { ledger, nfs, failure } = JSON.parse(done.stdout) as RunResult;
    assert.equal(nfs[0]!.outcomes, { odd: PACKETS / 2, even: PACKETS / 2, error: 0 });
    assert.is(nfs[0]!.type, "./mine.mjs");
    assert.equal([ledger.tx, ledger.dropped, ledger.balanced, failure], [PACKETS / 2, PACKETS / 2, true, null]);
  }
});

test("load, configuration, typed arrays, stats, flush and close", () => {
  const cwd = folder({
    ...files(
      moduleOf(
        {
          schema: "z.strictObject({ file: z.string(), times: z.int() })",
          outputs: "({ file }) => [file]",
          load: "(config, context) => ({ file: context.resolve(config.file), table: new Uint16Array(new SharedArrayBuffer(4)).fill(config.times) })",
          create:
            '({ file, table }) => { let n = 0; return { engine: "test", process({ count, outcomes }) { n += count * table[1]; outcomes.fill(0, 0, count); }, stats: () => ({ n }), flush: () => fs.writeFileSync(file, "flushed"), close: () => fs.appendFileSync(file, " closed") }; }',
        },
        'import fs from "node:fs";',
      ),
      { nfs: { mine: { type: "./mine.mjs", config: { file: "seen.txt", times: 3 } } } },
    ),
  });
  const done = wingbeat(["run", "chain.json", "--json", "-", "--quiet"], cwd);
  assert.is(done.code, 0, done.stderr);
  const { nfs } = JSON.parse(done.stdout) as RunResult;
  assert.equal([nfs[0]!["n"], nfs[0]!.engine], [3 * PACKETS, "test"]);
  assert.is(readFileSync(join(cwd, "seen.txt"), "utf8"), "flushed closed");
});

const WRONG: Record<string, readonly [module: string, words: RegExp]> = {
  "a syntax error": [moduleOf({}, "const x = ;"), /mine\.mjs:2: SyntaxError: Unexpected token/],
  "an import that is not there": [
    moduleOf({}, '\nimport "./other.mjs";'),
    /mine\.mjs:3: Cannot find module '.*other\.mjs'/,
  ],
  "a package that is not there": [
    moduleOf({}, 'import "no-such-package-here";'),
    /mine\.mjs:2: Cannot find package 'no-such-package-here'/,
  ],
  "an import of a name that is not there": [
    '\nimport { nothing } from "wingbeat/nf";',
    /mine\.mjs:2: .*does not provide an export named 'nothing'/,
  ],
  "code that throws on import": [moduleOf({}, "\n\nnull.foo;"), /mine\.mjs:4: cannot be imported: TypeError/],
  "no export nf": ["export const nff = 1, other = 2;", /mine\.mjs: has no export named nf; it exports nff, other/],
  "an nf that is no object": ['export const nf = "x";', /mine\.mjs: nf is "x", expected an object/],
  "keys missing and wrong": [
    moduleOf({ type: "7", create: "", load: '"f"', laod: "1", schema: "{}" }),
    /unknown key "laod"; known keys: type,[\s\S]*type: found 7, expected a name[\s\S]*schema: found an object, expected a zod schema[\s\S]*load: found "f", expected a function[\s\S]*create is missing/,
  ],
  "outcomes of all wrong kinds": [
    moduleOf({
      outcomes:
        '[{ name: "a" }, { name: "a" }, { name: "b.c" }, { name: "error" }, "d", { name: "e", drop: true }, { name: "f", drops: 1 }]',
    }),
    /outcomes\[1\]\.name: "a" stands twice[\s\S]*\[2\]\.name: found "b\.c"[\s\S]*\[3\]\.name: "error" is reserved[\s\S]*\[4\]: found "d"[\s\S]*\[5\]: unknown key "drop"[\s\S]*\[6\]\.drops: found 1/,
  ],
  "answers that are none": [
    moduleOf({ outcomes: '[{ name: "a", drops: true, icmp: "too-late" }, { name: "b", icmp: "too-big" }]' }),
    /\[0\]\.icmp: found "too-late", expected one of time-exceeded, too-big[\s\S]*\[1\]\.icmp: .*nf\.largest\(loaded\) has to say it/,
  ],
  "a longest packet that is none": [
    moduleOf({ outcomes: '[{ name: "a", drops: true, icmp: "too-big" }]', largest: '() => "1400"' }),
    /largest\(\) has to return a number of bytes/,
  ],
  "no outcome": [moduleOf({ outcomes: "[]" }), /outcomes: found none/],
  "too many outcomes": [
    moduleOf({ outcomes: "Array.from({ length: 32 }, (_, i) => ({ name: 'o' + i }))" }),
    /found 32, expected at most 31/,
  ],
  "a kernel of ours": [
    moduleOf({ gpu: '{ program: "router" }' }),
    /gpu: found an object, expected what kernelNf\(\) makes/,
  ],
  "the type of an NF of ours": [moduleOf({ type: '"nids"' }), /nf\.type is "nids", which is an NF of wingbeat/],
  "a load that returns a function": [
    moduleOf({ load: "() => ({ call() {} })" }),
    /mine\.mjs:\d+: what load\(\) returned cannot be posted/,
  ],
  "a load that refuses": [
    moduleOf({ load: '() => { throw new ConfigError("here:3", "not good", "better"); }' }),
    /here:3: not good\n {2}remedy: better/,
  ],
  "outcomes that are none": [
    moduleOf({ possible: '() => ["what"]' }),
    /mine\.mjs:\d+: possible\(\) has to return a list of outcomes: of odd, even/,
  ],
  "an answer that is none": [
    moduleOf({ replicable: '() => "often"', counted: "[1]" }),
    /counted: found a list, expected a list of names/,
  ],
  "ports that are none": [
    moduleOf({ egressPorts: '() => "out"' }),
    /egressPorts\(\) has to return a list of port numbers/,
  ],
};
for (const [what, [module, words]] of Object.entries(WRONG)) {
  test(`refused: ${what}`, async () => {
    const error = await refused(files(module));
    assert.instance(error, ConfigError);
    assert.match(error.message, words);
  });
}

test("paths that name no module, configuration nobody takes, and two modules of one type", async () => {
  const type = (name: string) => ({ nfs: { mine: { type: name } } });
  const cases: [object, RegExp][] = [
    [type("./none.mjs"), /chain\.json: nfs\.mine\.type: there is no file .*none\.mjs/],
    [type("mine.mjs"), /unknown NF type "mine\.mjs"\n {2}remedy: for a file beside the chain write "\.\/mine\.mjs"/],
    [type("./mine.txt"), /an NF of your own is a \.mjs or \.js file/],
    [type("rooter"), /known types: .*router.*, or the path of a module of your own/],
    [{ nfs: { mine: { type: "./mine.mjs", config: { a: 1 } } } }, /nfs\.mine\.config: unknown key "a"/],
    [{ nfs: { mine: { type: "./mine.mjs", place: "gpu" } } }, /type \.\/mine\.mjs, which runs on the CPU only/],
    [
      { nfs: { mine: { type: "./mine.mjs" }, two: { type: "./two.mjs" } } },
      /two\.mjs and .*mine\.mjs both have nf\.type "mine"/,
    ],
    [{ ports: { ...CHAIN.ports, out: { driver: "pcap", file: "mine.mjs" } } }, /mine\.mjs.*which NF mine reads/],
  ];
  for (const [more, words] of cases) {
    const error = await refused({ ...files(moduleOf(), more), "two.mjs": moduleOf() });
    assert.instance(error, ConfigError);
    assert.match(error.message, words);
  }
});

test("what load throws by mistake ends with exit code 1 and the line", () => {
  const module = moduleOf({ load: "(config, context) => {\n\n    return context.no.such;\n  }" });
  const done = wingbeat(["check", "chain.json"], folder(files(module)));
  assert.is(done.code, 1);
  assert.match(
    done.stderr,
    /mine\.mjs:9: TypeError: Cannot read properties of undefined \(reading 'such'\) \(in load\)/,
  );
  assert.not.match(done.stderr, /^\s+at /m);
});

const CREATES: Record<string, readonly [create: string, words: RegExp]> = {
  throws: ["() => {\n    throw new Error('no create');\n  }", /mine\.mjs:7: Error: no create \(in create\)/],
  "throws no Error": ["() => { throw 7; }", /mine\.mjs: threw 7 \(in create\)/],
  "returns nothing": ["() => {}", /mine\.mjs: what create\(\) returned is not an NF at work: found undefined/],
  "is async": ["async () => ({ process() {} })", /create\(\) must not be async/],
  "returns no process": ["() => ({ proces() {} })", /process: found undefined, expected a function/],
};
test("a create that fails ends the run before a packet is received, with exit code 1", () => {
  for (const [i, [what, [create, words]]] of Object.entries(CREATES).entries()) {
    const done = wingbeat(["run", "chain.json", ...CORES[i % 3]!], folder(files(moduleOf({ create }))));
    assert.is(done.code, 1, what);
    assert.match(done.stderr, words);
    assert.not.match(done.stderr, /^\s+at /m);
  }
});

/** How often a generator's packets are played: those of one time are made beforehand, which takes longer than the run. */
const LOOPS = 50;
/** A module that does wrong with the 1000th packet, at line 9. */
function failing(wrong: string): string {
  const lines = [
    "(loaded, { arena }) => ({",
    "    process(batch) {",
    "      for (let i = 0; i < batch.count; i++) batch.outcomes[i] = 0;",
    `      if (batch.slots.subarray(0, batch.count).some((slot) => arena.arrival[slot] === 1000)) ${wrong}`,
    "    },",
    "  })",
  ];
  return moduleOf({ create: lines.join("\n") });
}
const PROCESSES: Record<string, readonly [wrong: string, words: RegExp]> = {
  throws: ["throw new TypeError('bad packet');", /mine\.mjs:9: TypeError: bad packet \(in process\)/],
  "leaves an outcome out": [
    "batch.outcomes[batch.count - 1] = 255;",
    /mine\.mjs:7: process\(\) wrote no outcome for packet \d+/,
  ],
  "writes an outcome it has not": [
    "batch.outcomes[0] = 2;",
    /mine\.mjs:7: process\(\) wrote outcome 2 for packet 0 of \d+; outcomes are 0 to 1/,
  ],
  "answers later": ["return Promise.resolve();", /mine\.mjs:7: process\(\) is async/],
  "changes the batch": ["batch.count = 0;", /process\(\) changed batch\.count or batch\.slots/],
};
for (const [i, [what, [wrong, words]]] of Object.entries(PROCESSES).entries()) {
  test(`a process that ${what} stops the run with the line, and the ledger balances`, () => {
    const cwd = folder(
      files(failing(wrong), { ports: { ...CHAIN.ports, in: { ...CHAIN.ports.in, count: 1_000_000 / LOOPS } } }),
    );
    // Every arrangement for one of them, one for each of the others.
    for (const args of i === 0 ? CORES : [CORES[i % CORES.length]!]) {
      const done = wingbeat(["run", "chain.json", "--json", "-", "--loop", `${LOOPS}`, ...args], cwd);
      assert.is(done.code, 1, done.stderr);
      assert.match(done.stderr, words);
      assert.not.match(done.stderr, /^\s+at /m);
      const { ledger, nfs, failure } = JSON.parse(done.stdout) as RunResult;
      assert.match(failure!, words);
      assert.ok(ledger.balanced && ledger.in_flight === 0 && ledger.rx === ledger.tx + ledger.dropped);
      assert.ok(ledger.rx >= 1000 && ledger.rx < 1_000_000, "it stops receiving");
      assert.ok(ledger.tx > 0 && nfs[0]!.outcomes["error"]! > 0 && ledger.dropped === nfs[0]!.outcomes["error"]);
      assert.ok(ledger.drops.some(({ nf, reason }) => nf === "mine" && reason === "error"));
    }
  });
}

test("what stats, flush and close throw fails the run after all packets are through", () => {
  for (const key of ["stats", "flush", "close"]) {
    const create = `() => ({ process: ({ outcomes, count }) => outcomes.fill(0, 0, count), ${key}() { throw new Error("late"); } })`;
    const done = wingbeat(["run", "chain.json", "--json", "-", "--quiet"], folder(files(moduleOf({ create }))));
    assert.is(done.code, 1);
    const { ledger, failure } = JSON.parse(done.stdout) as RunResult;
    assert.match(failure!, new RegExp(`mine\\.mjs:6: Error: late \\(in ${key}\\)`));
    assert.equal([ledger.tx, ledger.balanced], [PACKETS, true]);
  }
});

test.run();
