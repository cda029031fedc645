/** The target `kernel`: packets that AF_XDP has taken reach the host's own network stack after all, as received by their interface. */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { RunError } from "../runtime/errors.js";
import { openHost, probeHost } from "../runtime/nic/host/port.js";
import { FRAMES, openHostSide } from "../runtime/nic/host/program.js";
import { loadXdp, XDP } from "../runtime/nic/net/bpf.js";
import { close } from "../runtime/nic/net/syscalls.js";
import type { HostAccess } from "../runtime/nic/port.js";
import { Arena } from "../runtime/packet/arena.js";
import { folder, wingbeat } from "./chain-support.js";
import { classic } from "./ports-util.js";
import { skipUnless } from "./skip.js";
import { be16, concat, ethernet, ipv4, place, udp } from "./support/frames.js";
import { capture, checkLedger, frames, wiresTest } from "./support/live.js";
import { readPcap } from "./support/pcap.js";
import { freshSeed, Random } from "./support/random.js";
import { randomFrame } from "./support/random-frames.js";

const COUNT = 600;
const LONGEST = 1760;

/** What of a capture is for the host, read the plain way: not IP, or IPv4 to 10.1.0.0/16 behind any tags. */
function isForHost(frame: Uint8Array): boolean {
  const u16 = (at: number) => frame[at]! * 256 + (frame[at + 1] ?? 0);
  let at = 12;
  while ([0x8100, 0x88a8, 0x9100].includes(u16(at))) at += 4;
  if (u16(at) === 0x86dd) return false;
  return u16(at) !== 0x0800 || (frame[at + 2 + 16] === 10 && frame[at + 2 + 17] === 1);
}

/** A tag of which not all is there has the host's stack drop the frame before anybody sees it, wherever it comes from. */
const isTaken = (frame: Uint8Array) => ![0x8100, 0x88a8].includes(frame[12]! * 256 + frame[13]!) || frame.length >= 20;
/** A frame that comes when all others have. */
const LAST = ethernet({}, ipv4({ dst: "10.1.255.255" }, udp({}, new TextEncoder().encode("this was the last one"))));

/** Random frames of all kinds and lengths; among them the shortest and the longest there are, and too long ones. */
function makeFrames(r: Random): { all: Uint8Array[]; tooLong: number } {
  const header = (type: number) => concat([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2], be16(type));
  const all: Uint8Array[] = [];
  let tooLong = 0;
  const lengths = () => r.pick([1514, LONGEST - 1, LONGEST, LONGEST + 1, r.int(60, LONGEST)]);
  const kinds = [
    () => randomFrame(r, 1200),
    () => concat(header(r.int(0x0900, 0x7fff)), r.bytes(r.pick([14, 15, 60, lengths()]) - 14)),
    () => ethernet({ vlans: [] }, ipv4({ dst: r.pick(["10.1.2.3", "10.2.2.3"]) }, udp({}, r.bytes(lengths() - 42)))),
  ];
  for (let i = 0; i < COUNT; i++) {
    all.push(r.pick(kinds)());
    if (all[i]!.length > LONGEST) tooLong++;
  }
  return { all, tooLong };
}

const hash = (frame: Uint8Array) => createHash("md5").update(frame).digest("base64");

/** The first frames that one list has and the other has not, whatever their order. */
function difference(seen: readonly Uint8Array[], expected: readonly Uint8Array[]): string[] {
  const without = (list: readonly Uint8Array[], other: readonly Uint8Array[], word: string) => {
    const left = other.map(hash);
    const more = list.filter((frame) => {
      const at = left.indexOf(hash(frame));
      if (at >= 0) left.splice(at, 1);
      return at < 0;
    });
    return more.map((frame) => `${word}: ${frame.length} bytes, ${Buffer.from(frame.subarray(0, 40)).toString("hex")}`);
  };
  return [...without(expected, seen, "missing").slice(0, 4), ...without(seen, expected, "not expected").slice(0, 4)];
}

const pcap = (list: readonly Uint8Array[]) => classic(list.map((data) => ({ sec: 0, ticks: 0, data })));

const CHAIN = {
  name: "host",
  ports: { in: { driver: "null" }, out: { driver: "null" } },
  types: { self: { dst: "10.1.0.0/16" } },
  policy: "policy.csv",
};
const POLICY = "self,ingress,kernel\nnon-ip,ingress,kernel\n*,ingress,egress\n";

/** `form`: RPS has the stack take frames up later, on any processor; two queues have two cores that receive, and hand over. */
for (const [mode, form, more] of [
  ["skb", "one core", []],
  ["native", "another core sends", ["--cores", "d2", "--batch", "256"]],
  ["native", "two queues", ["--cores", "d2"]],
  ["skb", "RPS", []],
] as const) {
  wiresTest(`what is for the host is all it sees, to the byte, and in order: ${mode} XDP, ${form}`, async (space) => {
    const seed = freshSeed();
    const cwd = folder({ "chain.json": CHAIN, "policy.csv": POLICY });
    const ordered = form === "one core" || form === "another core sends";
    const queues = form === "two queues" ? 2 : 1;
    space.wire("a", queues);
    space.wire("b");
    for (const name of ["a", "ap", "b", "bp"]) space.ip("link", "set", "dev", name, "mtu", "1800");
    if (form === "RPS") space.run("sh", "-c", "echo 3 > /sys/class/net/a/queues/rx-0/rps_cpus");
    const { all, tooLong } = makeFrames(new Random(seed));
    const whole = all.filter(({ length }) => length <= LONGEST);
    const expected = whole.filter(isForHost);
    const visible = expected.filter(isTaken);
    const forwarded = whole.filter((frame) => !isForHost(frame));
    writeFileSync(join(cwd, "in.pcap"), pcap(all));
    writeFileSync(join(cwd, "last.pcap"), pcap([LAST]));
    const wing = await space.wingbeat(cwd, "chain.json", "--in", `xdp:a,mode=${mode}`, "--out", "packet:b", ...more);
    await wing.says(queues === 2 ? /a by AF_XDP.*core 2 of 2/ : /port in: a by AF_XDP/);
    await wing.says(/port out: b by AF_PACKET/);
    const out = await capture(space, cwd, "bp", forwarded.length, "out.pcap");
    const dump = await capture(space, cwd, "a", visible.length + 1, "host.pcap");
    space.run("tcpreplay", "-q", "-i", "ap", "--topspeed", join(cwd, "in.pcap"));
    await space.until("a", COUNT);
    const result = await wing.finish();
    checkLedger(result, `seed ${seed} `);
    assert.is(result.ledger.to_kernel, expected.length, `seed ${seed}`);
    assert.not(space.attached("a"));
    space.run("tcpreplay", "-q", "-i", "ap", join(cwd, "last.pcap"));
    await dump.end();
    const seen = readPcap(join(cwd, "host.pcap")).records.map(({ frame }) => frame);
    assert.equal(difference(seen, [...visible, LAST]), [], `seed ${seed}`);
    // A tap sees frames nobody else waits for after others of their burst.
    const ip = (list: readonly Uint8Array[]) => list.filter((f) => f[12] === 8 && f[13] === 0).map(hash);
    if (ordered) assert.equal(ip(seen), ip([...visible, LAST]), `seed ${seed}`);
    await out.end();
    const left = readPcap(join(cwd, "out.pcap")).records.map(({ frame }) => frame);
    assert.equal(difference(left, forwarded), [], `seed ${seed}`);
    if (ordered) assert.equal(left.map(hash), forwarded.map(hash), `seed ${seed}`);
    assert.equal(result.ledger.drops, [{ nf: "gate", reason: "too-long", packets: tooLong }], `seed ${seed}`);
  });
}

wiresTest(
  "behind AF_PACKET the host sees every packet once anyway: they are counted, and not handed over",
  async (space) => {
    const seed = freshSeed();
    const cwd = folder({ "chain.json": CHAIN, "policy.csv": POLICY });
    space.wire("a");
    const some = makeFrames(new Random(seed)).all.filter((frame) => frame.length <= 1514 && isTaken(frame));
    writeFileSync(join(cwd, "in.pcap"), pcap(some));
    const wing = await space.wingbeat(cwd, "chain.json", "--in", "packet:a", "--out", "null");
    await wing.says(/port in: a by AF_PACKET/);
    const dump = await capture(space, cwd, "a", some.length + 1, "host.pcap");
    space.run("tcpreplay", "-q", "-i", "ap", "--topspeed", join(cwd, "in.pcap"));
    await space.until("a", some.length);
    const result = await wing.finish();
    writeFileSync(join(cwd, "last.pcap"), pcap([LAST]));
    space.run("tcpreplay", "-q", "-i", "ap", join(cwd, "last.pcap"));
    await dump.end();
    checkLedger(result, `seed ${seed} `);
    assert.is(result.ledger.to_kernel, some.filter(isForHost).length, `seed ${seed}`);
    assert.equal(frames(join(cwd, "host.pcap")), [...some, LAST].map(hash), `seed ${seed}`);
  },
);

test("check says from which ports nothing is handed over", () => {
  const warnings = (driver: object) => {
    const ports = { in: driver, out: { driver: "null" } };
    const cwd = folder({ "chain.json": { ...CHAIN, ports }, "policy.csv": POLICY });
    const { code, stdout, stderr } = wingbeat(["check", "chain.json", "--json", "-"], cwd);
    assert.is(code, 0, stderr);
    return (JSON.parse(stdout) as { warnings: string[] }).warnings.filter((line) => line.startsWith("kernel"));
  };
  assert.match(
    warnings({ driver: "generator" }).join(),
    /^kernel: captures and generators .in. have no host behind them/,
  );
  assert.match(
    warnings({ driver: "packet", interface: "a" }).join(),
    /^kernel: behind AF_PACKET .in. the host sees every/,
  );
  assert.equal(warnings({ driver: "xdp", interface: "a" }), []);
});

/** The way to the host from an interface of this index; the program hangs nowhere. */
function wayFrom(index: number, body: (access: HostAccess) => void): void {
  if (skipUnless(process.getuid?.() === 0, "XDP programs need root")) return;
  const side = openHostSide(1, "port a");
  const program = loadXdp([...side.instructions(false), [0xb7, 0, 0, XDP.DROP], [0x95, 0, 0, 0]]) as number;
  try {
    body(side.access({ name: "gone", index }, program, false));
  } finally {
    close(program);
    side.close();
  }
}

const NO_INTERFACE = 2 ** 30;

test("frames of an interface that is gone are refused, and it is said once; those of other ports are not its", () => {
  wayFrom(NO_INTERFACE, (access) => {
    const said: string[] = [];
    const arena = Arena.create(256);
    const host = openHost([undefined, access], 0, arena, (line) => said.push(line));
    const slots = Uint32Array.from({ length: 2 * FRAMES + 3 }, (_, i) => i);
    for (const slot of slots) place(arena, slot, ethernet({}, ipv4({}, udp({}, new Uint8Array(10)))));
    for (const slot of slots) arena.portIn[slot] = slot < 3 ? 0 : 1;
    assert.is(host.inject(slots, slots.length), 2 * FRAMES);
    assert.is(host.inject(slots, 3), 0);
    assert.is(host.inject(slots, 4), 1);
    assert.is(said.length, 1);
    assert.match(said[0]!, new RegExp(`${FRAMES} packets for this host, received from gone, were refused .ENODEV`));
    host.close();
    host.close();
    arena.free();
  });
});

test("a kernel that does not do it is refused at the start, with what would", () => {
  wayFrom(NO_INTERFACE, (access) => {
    probeHost(access, "port a");
    // What kernels before 5.18 answer: EINVAL, as for a descriptor that is no program's.
    assert.throws(
      () => probeHost({ ...access, program: access.map }, "port a"),
      (error: Error) =>
        error instanceof RunError &&
        /^port a: this kernel takes no frames .*EINVAL/.test(error.message) &&
        /remedy: use Linux 5\.18 or later; or the driver packet/.test(error.message),
    );
  });
});

test.run();
