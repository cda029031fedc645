/** Random rules, and random packets on which they have something to say: short payloads over few letters. */
import type { FrameSpec } from "./nids-frames.js";

/** Random integers in [0, below). */
export type Random = (below: number) => number;
export const pick = <T>(random: Random, from: readonly T[]): T => from[random(from.length)]!;
const HOSTS4 = [
  [10, 0, 0, 1],
  [10, 0, 0, 2],
  [10, 0, 1, 3],
  [192, 168, 7, 7],
];
const HOSTS6 = [1, 2, 9].map((last) => [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);

function randomBytes(random: Random, max: number): string {
  return Array.from({ length: random(max + 1) }, () => pick(random, ["a", "a", "b", "A", "B", "c"])).join("");
}

function randomContent(random: Random, first: boolean, mayBeOnly: boolean): string {
  const text = randomBytes(random, 3) || "a";
  const written = random(4) === 0 ? `|${Buffer.from(text).toString("hex")}|` : text;
  const negated = random(5) === 0;
  const parts = [`content:${negated ? "!" : ""}"${written}"`];
  if (random(3) === 0) parts.push("nocase");
  const kind = random(first ? 5 : 8);
  if (kind === 1) parts.push(`offset:${random(6)}`);
  if (kind === 2) parts.push(`depth:${text.length + random(8)}`, ...(random(2) ? [`offset:${random(5)}`] : []));
  if (kind === 3) parts.push("startswith");
  if (kind === 5) parts.push(`distance:${random(7) - 3}`);
  if (kind === 6) parts.push(`within:${text.length + random(5)}`);
  if (kind === 7) parts.push(`distance:${random(5) - 2}`, `within:${text.length + random(6)}`);
  if (random(8) === 0) parts.push("endswith");
  if (mayBeOnly && kind === 0 && !negated && !parts.includes("endswith") && random(6) === 0)
    parts.push("fast_pattern:only");
  return parts.join("; ");
}

export function randomRule(random: Random, sid: number): string {
  const proto = pick(random, ["tcp", "tcp", "udp", "icmp", "ip", "ip6"]);
  const address = () =>
    pick(random, ["any", "any", "10.0.0.0/24", "!10.0.0.1", "[10.0.0.0/16,!10.0.0.2,2001:db8::/64]", "$NET"]);
  const port = () => (proto === "icmp" ? "any" : pick(random, ["any", "any", "80", "!80", "[1:79,81:]", "1025:"]));
  const options: string[] = [];
  const steps = random(5);
  for (let i = 0; i < steps; i++) {
    const kind = random(9);
    if (kind === 0) options.push(`isdataat:${random(2) ? "!" : ""}${random(10)}${random(2) ? ",relative" : ""}`);
    else if (kind === 1)
      options.push(
        `pcre:${random(4) ? "" : "!"}"/${pick(random, ["a.b", "^a", "b$", "a+?b", "[^a]{2}", "A(b|c)"])}/${pick(random, ["", "i", "R", "Ri", "s"])}"`,
      );
    else options.push(randomContent(random, i === 0, !options.some((option) => option.includes("fast_pattern"))));
  }
  if (random(4) === 0) options.push(`dsize:${pick(random, [">4", "<12", "3<>15", "!0"])}`);
  if (random(6) === 0) options.push(`ttl:${pick(random, ["64", ">63", "1-10"])}`);
  if (random(4) === 0)
    options.push(
      `flow:${pick(random, ["to_server", "to_client", "established", "established,to_server", "not_established", "stateless"])}`,
    );
  if (proto === "tcp" && random(4) === 0) options.push(`flags:${pick(random, ["S", "A+", "*SF", "!R", "PA", "S,CE"])}`);
  if (proto === "icmp" && random(2) === 0) options.push(`itype:${pick(random, ["8", ">3", "!0"])}`);
  const action = pick(random, [
    "alert",
    "alert",
    "alert",
    "alert",
    "alert",
    "drop",
    "reject",
    "log",
    ...(random(8) ? [] : ["pass"]),
  ]);
  const body = [...options, `sid:${sid}`].join("; ");
  return `${action} ${proto} ${address()} ${port()} ${pick(random, ["->", "->", "<>"])} ${address()} ${port()} (${body};)`;
}

export function randomPacket(random: Random): FrameSpec {
  const hosts = random(4) === 0 ? HOSTS6 : HOSTS4;
  const v6 = hosts === HOSTS6;
  const proto = pick(random, ["tcp", "tcp", "tcp", "udp", v6 ? "icmp6" : "icmp", 50] as const);
  const icmp = proto === "icmp" || proto === "icmp6";
  return {
    proto,
    src: pick(random, hosts),
    dst: pick(random, hosts),
    sport: icmp ? pick(random, [0, 3, 8]) : pick(random, [80, 1025]),
    dport: icmp ? random(3) : pick(random, [80, 1025]),
    bits: pick(random, [2, 0x12, 0x10, 0x10, 0x18, 0x11, 4]),
    ttl: pick(random, [5, 64, 255]),
    fragment: !v6 && random(10) === 0 ? pick(random, [0x2000, 0x0001]) : 0,
    payload: randomBytes(random, 20),
    seconds: 1_700_000_000 + random(2) * 400,
  };
}

/** A connection being opened, and a packet each way. */
export function handshake(random: Random): FrameSpec[] {
  const there: FrameSpec = { ...randomPacket(random), proto: "tcp", fragment: 0, seconds: 1_700_000_000 };
  const back: FrameSpec = { ...there, src: there.dst!, dst: there.src!, sport: there.dport!, dport: there.sport! };
  const data = () => ({ bits: 0x18, payload: randomBytes(random, 20) });
  return [
    { ...there, bits: 2 },
    { ...back, bits: 0x12 },
    { ...there, bits: 0x10 },
    { ...there, ...data() },
    { ...back, ...data() },
  ];
}
