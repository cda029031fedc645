/** Random actions upon syncers and their device, and the two ways a run ends. */
import * as assert from "uvu/assert";
import { DUMMY, WG } from "../../runtime/device/queue.js";
import { SYNC, SYNC_COUNTERS } from "../../runtime/device/syncer.js";
import { COUNTERS_AT, DEADLINE, HARD_DEADLINE, PACKET, SyncerAccount } from "./syncer-account.js";

export class SyncerScenario extends SyncerAccount {
  /** One random action. */
  act(): void {
    const { random } = this;
    const side = random.int(0, this.sides.length - 1);
    const what = random.int(0, 99);
    if (what < 20) this.add(side, random.int(1, 3 * this.size));
    else if (what < 50) this.publish(side, random.chance(0.15));
    else if (what < 65) this.collect(side);
    else if (what < 95) this.steps(random.int(1, 12));
    else this.turnOver();
    if (random.chance(0.3))
      this.now += random.pick([1000, DEADLINE / 2, DEADLINE, HARD_DEADLINE / 3, HARD_DEADLINE, 7 * HARD_DEADLINE]);
    if (random.chance(0.02)) this.changeTable();
  }

  /** The device leaves, is launched again, or goes on. */
  private turnOver(): void {
    if (!this.gpu.returned) this.gpu.leave();
    else {
      this.gpu.launch(this.random.int(1, this.device.handle.shape.workgroups));
      this.launches++;
    }
  }

  private steps(count: number): void {
    for (let i = 0; i < count; i++) this.gpu.step(this.random.int(0, this.device.handle.shape.workgroups - 1));
  }

  private changeTable(): void {
    const nf = this.random.int(0, this.nfs.length - 1);
    this.nfs[nf] = { program: this.nfs[nf]!.program, table: this.random.int(100, 199) };
    for (const { syncer } of this.sides) syncer.useTable(nf, this.nfs[nf]!.table);
  }

  private add(side: number, most: number): void {
    const { random, state } = this;
    const nf = random.int(0, this.nfs.length - 1);
    const free = [...state.keys()].filter((slot) => state[slot] === PACKET.FREE).slice(0, most);
    for (const slot of free) {
      state[slot] = PACKET.WAITING;
      this.nfOf[slot] = nf;
      this.sideOf[slot] = side;
    }
    const from = random.int(0, 3);
    const to = this.sides[side]!;
    to.syncer.add(nf, Uint32Array.from([...new Array(from).fill(DUMMY), ...free, DUMMY]), from, free.length);
    to.waiting[nf]! += free.length;
  }

  /** Nothing more comes: all packets come back served, however few workgroups run in a slice. */
  drain(): number {
    const { workgroups } = this.device.handle.shape;
    const left = () => this.sides.some(({ syncer }) => syncer.waiting + syncer.inFlight > 0);
    for (let round = 0; left(); round++) {
      assert.ok(round < 5000, "packets are left behind");
      if (this.gpu.returned) this.gpu.launch(this.random.int(1, workgroups));
      this.gpu.run();
      for (let side = 0; side < this.sides.length; side++) {
        this.publish(side, true);
        this.collect(side);
      }
      this.gpu.leave();
      this.gpu.run();
    }
    assert.ok(
      this.state.every((state) => state === PACKET.FREE),
      "every packet came back",
    );
    return 0;
  }

  /** The device stops at once; what it did not get to comes back unserved. Returns how many did. */
  abandon(): number {
    this.gpu.stop();
    this.gpu.run();
    let total = 0;
    for (const [index, side] of this.sides.entries()) {
      const { syncer } = side;
      this.collect(index);
      assert.is(syncer.publish(this.now + HARD_DEADLINE, true), 0, "published after stop");
      const out = new Uint32Array(this.size + this.random.int(0, this.size));
      for (let count = syncer.abandon(out); count > 0; count = syncer.abandon(out)) {
        let at = 0;
        while (at < count && side.inFlight > 0) at += this.checkRowTaken(side, out.subarray(at, count), false);
        for (; at < count; at++) {
          assert.is(this.state[out[at]!], PACKET.WAITING);
          assert.is(this.sides[this.sideOf[out[at]!]!], side);
          this.state[out[at]!] = PACKET.FREE;
        }
        total += count;
      }
      assert.is(syncer.waiting + syncer.inFlight, 0);
    }
    assert.ok(
      this.state.every((state) => state === PACKET.FREE),
      "every packet came back",
    );
    return total;
  }

  checkCounters(): void {
    for (const { counters, rows, packets, workgroups } of this.sides) {
      const published = workgroups.map((w) => (this.word(w, WG.CPU_INDEX) - this.startIndex) >>> 0);
      assert.is(
        rows,
        published.reduce((a, b) => a + b),
      );
      assert.is(counters[COUNTERS_AT + SYNC.ROWS], rows);
      assert.is(counters[COUNTERS_AT + SYNC.PACKETS], packets);
      assert.is(counters[COUNTERS_AT + SYNC.DUMMIES], rows * this.size - packets);
      assert.equal([counters[COUNTERS_AT - 1], counters[COUNTERS_AT + SYNC_COUNTERS]], [7, 7]);
    }
  }
}
