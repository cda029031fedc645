/**
 * Runs within a namespace of its own that has a wire a-ap: `drain-child.js ROUNDS PORT...`, with a JSON configuration for each port. Frames
 * are sent, and the port is stopped in the same moment; prints how many came and were sent, by round, as JSON.
 */
import { openRx } from "../../runtime/nic/drivers.js";
import { openPacketTx } from "../../runtime/nic/packet/tx.js";
import type { PortConfig } from "../../runtime/nic/port-config.js";
import { Arena, DATA_OFFSET, SLOT_SIZE } from "../../runtime/packet/arena.js";
import { freshSeed, Random } from "./random.js";

const SLOTS = 256;
const BYTES = 64;
const MOST = 40;
const DEADLINE_MS = 20_000;

const [rounds, ...ports] = process.argv.slice(2);
const seed = freshSeed();
const r = new Random(seed);
const arena = Arena.create(SLOTS);
const context = { name: "in", arena, warn: () => {} };
const tx = openPacketTx({ interface: "ap" }, { ...context, name: "out" });
const sent = Uint32Array.from({ length: MOST }, (_, i) => i);
const result: { port: string; sent: number; received: number; imissed: number }[] = [];

for (let round = 0; round < Number(rounds); round++) {
  for (const port of ports) {
    const rx = await openRx(JSON.parse(port) as PortConfig, context);
    const live = rx.live!;
    const stock = Uint32Array.from({ length: Math.min(64, live.stock) }, (_, i) => MOST + i);
    live.supply(stock, stock.length);
    // What is taken from a ring is exchanged for these.
    const slots = Uint32Array.from({ length: 64 }, (_, i) => MOST + 64 + i);
    const count = r.int(1, MOST);
    for (const slot of sent) {
      arena.off[slot] = DATA_OFFSET;
      arena.len[slot] = BYTES;
      arena.u8.fill(0xff, slot * SLOT_SIZE + DATA_OFFSET, slot * SLOT_SIZE + DATA_OFFSET + BYTES);
    }
    tx.transmit(sent, count);
    live.stop();
    const deadline = performance.now() + DEADLINE_MS;
    let received = 0;
    for (let some = -1; some !== 0 || live.settled === false; received += some) {
      some = rx.receive(slots, slots.length);
      if (performance.now() > deadline) throw new Error(`${port} does not settle; seed ${seed}`);
    }
    live.update();
    result.push({ port, sent: count, received, imissed: live.imissed });
    await rx.close();
  }
}
await tx.close();
console.log(JSON.stringify(result));
