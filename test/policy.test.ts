import { test } from "uvu";
import * as assert from "uvu/assert";
import { analyse } from "../runtime/chain/graph.js";
import type { OutcomeSpec } from "../runtime/chain/nf.js";
import { type PolicyNames, PolicyResolver, parsePolicy } from "../runtime/chain/policy.js";

const ipsec: OutcomeSpec[] = [
  { name: "protected" },
  { name: "opened", reparse: true },
  { name: "bypass", drops: true },
];
const nids: OutcomeSpec[] = [{ name: "clean" }, { name: "alert" }, { name: "drop", alwaysDrops: true }];
const router: OutcomeSpec[] = [{ name: "forward" }, { name: "no-route", drops: true }];
const names: PolicyNames = {
  types: ["f1", "voip", "default", "non-ip"],
  ports: [
    { name: "in", rx: true, tx: false },
    { name: "wan", rx: true, tx: false },
    { name: "out", rx: false, tx: true },
  ],
  nfs: [
    { name: "ipsec", outcomes: ipsec },
    { name: "nids", outcomes: nids },
    { name: "router", outcomes: router },
  ],
};
const read = (...lines: string[]) => parsePolicy(lines.join("\n"), "p.csv", names);
const graphOf = (lines: string[], possible: OutcomeSpec[][] = [ipsec, nids, router]) =>
  analyse(names, new PolicyResolver(read(...lines)), possible);
const GOOD = ["*,ingress,ipsec", "*,ipsec,nids", "*,nids,router", "*,router,egress"];
const NF = (nf: number) => ({ kind: "nf", nf });

test("header, comments, blank lines and spaces are allowed", () => {
  const rows = read(
    "# c",
    "packet type,current NF,next NF",
    "",
    " f1 , ingress , ipsec ",
    "# more",
    "*,ipsec,egress:out",
  );
  assert.equal(
    rows.map((r) => [r.line, r.type, r.current, r.next]),
    [
      [4, "f1", "ingress", "ipsec"],
      [6, "*", "ipsec", "egress:out"],
    ],
  );
});

test("the most specific row wins, in the order type+outcome, *+outcome, type+nf, *+nf", () => {
  const alert = nids[1]!;
  const steps: [string, unknown][] = [
    ["*,nids,egress", { kind: "egress", port: undefined }],
    ["f1,nids,router", NF(2)],
    ["*,nids.alert,kernel", { kind: "kernel" }],
    ["f1,nids.alert,drop", { kind: "drop" }],
  ];
  for (let n = 1; n <= steps.length; n++) {
    const policy = new PolicyResolver(read(...steps.slice(0, n).map((s) => s[0])));
    assert.equal(policy.outcome("f1", "nids", alert), steps[n - 1]![1], `${n} rows`);
  }
  const ingress = new PolicyResolver(read("*,ingress,router", "f1,ingress,nids", "*,ingress:wan,ipsec"));
  assert.equal(ingress.ingress("f1", "wan"), NF(0));
  assert.equal(ingress.ingress("f1", "in"), NF(1));
  assert.equal(ingress.ingress("voip", "in"), NF(2));
});

test("* is any type but non-ip", () => {
  const policy = new PolicyResolver(read("*,ingress,router"));
  assert.equal(policy.ingress("default", "in"), NF(2));
  assert.equal(policy.ingress("non-ip", "in"), undefined);
});

test("an outcome that drops listens only to rows that name it; one that always drops to none", () => {
  const policy = new PolicyResolver(read("*,router,egress", "*,nids,router"));
  assert.equal(policy.outcome("f1", "router", router[1]!), { kind: "drop" });
  assert.equal(policy.outcome("f1", "nids", nids[2]!), { kind: "drop" });
  const named = new PolicyResolver(read("*,router,egress", "*,router.no-route,kernel"));
  assert.equal(named.outcome("f1", "router", router[1]!), { kind: "kernel" });
});

const BAD: [string, RegExp][] = [
  ["f1,ingress", /p\.csv:1: expected 3 columns, found 2/],
  ["f9,ingress,nids", /p\.csv:1: unknown packet type "f9"; known: \*, f1, voip, default, non-ip/],
  ["f1,fw,nids", /unknown current NF "fw"/],
  ["f1,ingress,fw", /unknown next NF "fw"; known: ipsec, nids, router, egress/],
  ["f1,nids.alarm,router", /nids has no outcome "alarm"; its outcomes: clean, alert/],
  ["f1,nids.drop,router", /always drops/],
  ["f1,ingress:out,router", /no receiving port "out"; receiving ports: in, wan/],
  ["f1,router,egress:in", /no sending port "in"; sending ports: out/],
  ["f1,ingress,nids\nf1,ingress,router", /p\.csv:2: a second row for "f1,ingress"; the first is on line 1/],
  ["", /no row/],
  ["# only a comment", /no row/],
];
for (const [text, expected] of BAD) {
  test(`refuses ${JSON.stringify(text)}`, () => {
    assert.throws(
      () => read(...text.split("\n")),
      (e: Error) => e.name === "ConfigError" && expected.test(e.message),
    );
  });
}

test("a straight chain: order, nothing missing, nothing cyclic", () => {
  const graph = graphOf(GOOD);
  assert.equal(graph.order, [0, 1, 2]);
  assert.equal([graph.missing, graph.trapped, graph.unreachable, graph.cyclic], [[], [], [], []]);
});

test("order follows the policy and not the file", () => {
  const graph = graphOf(["*,ingress,router", "*,router,nids", "*,nids,ipsec", "*,ipsec,egress"]);
  assert.equal(graph.order, [2, 1, 0]);
});

test("a missing row is found where a packet can get, and only there", () => {
  assert.equal(graphOf(["*,ingress,ipsec", "*,ipsec,egress", "f1,nids,router"]).missing, []);
  assert.equal(
    graphOf(["f1,ingress,ipsec", "f1,ipsec,egress", "default,ingress,drop"], [[ipsec[0]!], nids, router]).missing,
    [
      { type: "voip", at: "ingress:in" },
      { type: "voip", at: "ingress:wan" },
    ],
  );
  // What ipsec opens may be of any type, so every type needs a way on, unless nothing is ever opened.
  const half = ["*,ingress,drop", "f1,ingress,ipsec", "f1,ipsec,egress"];
  assert.equal(
    graphOf(half).missing.map((m) => `${m.type} ${m.at}`),
    ["voip ipsec.opened", "default ipsec.opened"],
  );
  assert.equal(graphOf(half, [[ipsec[0]!], nids, router]).missing, []);
});

test("loops: without a way out they are trapped, with one they are cyclic", () => {
  const none = graphOf(["*,ingress,nids", "*,nids,router", "*,router,nids"]);
  assert.equal(new Set(none.trapped.map((p) => p.nf)), new Set([1, 2]));
  const some = graphOf(["*,ingress,nids", "*,nids,router", "*,router,nids", "*,nids.alert,egress"]);
  assert.equal(some.trapped, []);
  assert.equal(some.cyclic, [1, 2]);
});

test("an NF nothing leads to is unreachable", () => {
  assert.equal(graphOf(["*,ingress,router", "*,router,egress", "f1,nids,router"]).unreachable, [0, 1]);
});

test.run();
