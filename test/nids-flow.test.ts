/** The connection table, as rules see it. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import { FlowTable } from "../nfs/nids/flow.js";
import { arenaWith, type FrameSpec, fill, frame } from "./nids-frames.js";
import { create, judgeAll, loadRules, sidsOf } from "./nids-run.js";

const [FIN, SYN, RST, ACK] = [1, 2, 4, 16];
const RULES = [
  "alert ip any any -> any any (flow:to_server; sid:1;)",
  "alert ip any any -> any any (flow:from_server; sid:2;)",
  "alert ip any any -> any any (flow:established; sid:3;)",
  "alert ip any any -> any any (flow:not_established; sid:4;)",
  "alert ip any any -> any any (flow:established,from_client; sid:5;)",
  "alert ip any any -> any any (flow:stateless; sid:6;)",
];
const client = (bits: number, more: FrameSpec = {}): FrameSpec => ({ bits, ...more });
const server = (bits: number, more: FrameSpec = {}): FrameSpec => ({
  bits,
  src: [10, 0, 0, 2],
  dst: [10, 0, 0, 1],
  sport: 80,
  dport: 1025,
  ...more,
});
const TO_SERVER = [1, 4, 6];
const TO_CLIENT = [2, 4, 6];
const TO_SERVER_UP = [1, 3, 5, 6];
const TO_CLIENT_UP = [2, 3, 6];

async function sees(specs: FrameSpec[], expected: number[][]): Promise<void> {
  assert.equal(await sidsOf(RULES, specs), expected);
}

test("TCP: established from the third packet of the handshake on, in both directions", async () => {
  const specs = [client(SYN), server(SYN | ACK), client(ACK), client(ACK), server(ACK), server(FIN | ACK), client(ACK)];
  await sees(specs, [TO_SERVER, TO_CLIENT, TO_SERVER_UP, TO_SERVER_UP, TO_CLIENT_UP, TO_CLIENT_UP, TO_SERVER_UP]);
});

test("TCP: a SYN answered by anybody but the other end establishes nothing", async () => {
  await sees([client(SYN), client(SYN | ACK), client(ACK)], [TO_SERVER, TO_SERVER, TO_SERVER]);
  await sees([client(SYN), client(ACK), server(ACK)], [TO_SERVER, TO_SERVER, TO_CLIENT]);
});

test("TCP: joined in the middle, the first sender is the client; of a SYN+ACK the receiver", async () => {
  await sees([server(ACK), client(ACK)], [TO_SERVER, TO_CLIENT]);
  await sees([server(SYN | ACK), client(ACK)], [TO_CLIENT, TO_SERVER]);
});

test("TCP: after RST or FIN a new SYN starts a new connection, before it does not", async () => {
  const up = [client(SYN), server(SYN | ACK), client(ACK)];
  const seen = [TO_SERVER, TO_CLIENT, TO_SERVER_UP];
  await sees([...up, client(RST), server(SYN)], [...seen, TO_SERVER_UP, TO_SERVER]);
  await sees([...up, server(SYN)], [...seen, TO_CLIENT_UP]);
  const late = server(SYN, { seconds: 1_700_000_301 });
  await sees([...up, late], [...seen, TO_SERVER]);
});

test("UDP: the first sender is the client; established once both have sent; anew after a pause", async () => {
  const udp = { proto: "udp" } as const;
  const specs = [
    server(0, udp),
    server(0, udp),
    client(0, udp),
    server(0, udp),
    client(0, { ...udp, seconds: 1_700_000_400 }),
  ];
  await sees(specs, [TO_SERVER, TO_SERVER, TO_CLIENT_UP, TO_SERVER_UP, TO_SERVER]);
});

test("IPv6 and IPv4 addresses, protocols and ports keep flows apart; fragments belong to none", async () => {
  const v6 = (last: number) => [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
  const [a, b] = [v6(1), v6(2)];
  await sees(
    [
      client(ACK),
      server(ACK, { dport: 1026 }),
      server(ACK, { proto: "udp" }),
      server(ACK, { src: b, dst: a }),
      client(ACK, { src: a, dst: b }),
      client(ACK, { fragment: 0x2000 }),
    ],
    [TO_SERVER, TO_SERVER, TO_SERVER, TO_SERVER, TO_CLIENT, [4, 6]],
  );
});

test("memory is bounded: old connections are given up, counted, and start anew", () => {
  const arena = arenaWith([client(ACK)]);
  const table = new FlowTable(arena);
  const track = (spec: FrameSpec) => {
    fill(arena, [frame(spec)]);
    return table.track(0);
  };
  track(client(SYN));
  track(server(SYN | ACK));
  assert.is(track(client(ACK)) & 4, 4);
  for (let i = 0; i < 120_000; i++) {
    // Straight into the arena: a frame built for each would take seconds.
    arena.sport[0] = i & 0xffff;
    arena.u8[256 + 14 + 15] = 5 + (i >> 16);
    table.track(0);
  }
  assert.ok(table.evicted > 50_000 && table.evicted < 120_000, `evicted ${table.evicted}`);
  assert.is(track(client(ACK)) & 4, 0);
  arena.free();
});

test("without a rule that needs it there is no table", async () => {
  for (const [options, table] of [
    ["flow:stateless; sid:1;", false],
    ["flow:to_server; sid:1;", true],
  ] as const) {
    const { loaded } = await loadRules(`alert tcp any any -> any any (${options})`);
    const arena = arenaWith([client(ACK)]);
    const nids = create(loaded, arena);
    judgeAll(nids, arena, 1);
    assert.is("flows_evicted" in nids.stats!(), table);
    arena.free();
  }
});

test.run();
