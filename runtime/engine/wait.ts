/** How a thread with nothing to do passes the time. */
import { isRealTime, scheduling } from "../native/sched.js";
import { yieldCpu } from "../native/yield-cpu.js";
import { type Poller, WOKEN } from "../nic/net/poller.js";
import { ASLEEP, bellWord, CONTROL } from "./control.js";
import type { WaitPolicy } from "./plan.js";

/** Milliseconds of the policy sleep: the figure that costs least throughput on a shared core. */
const SLEEP_MS = 0.15;
/** Fruitless rounds before the adaptive policy sleeps, at most and at least: see {@link Waiter.adapt}. */
const MOST_SPINS = 100;
const LEAST_SPINS = 2;
/** A sleep that ends sooner was not worth it: falling asleep and being woken costs as much. */
const SHORT_MS = 0.02;
/**
 * Packets that come faster than one in this time are taken together: a wake-up costs 5 us or so, and with one for each packet a core that has
 * half as much to do as it can is not idle for a moment. It is what adaptive waiting adds to latency under load.
 */
const NAP_MS = 0.04;
/** So many rounds one after the other that have each taken what there was, without a pause: packets come as fast as one by one they are done. */
const STEADY_ROUNDS = 8;
/** Longest sleep where something is awaited that wakes nobody; the first is a nap, each the double of that before. */
const BLIND_MS = 2;
/** Longest sleep where everything wakes: counters and links are looked after between two. */
const IDLE_MS = 10;
/** Of one look for the signal of who has claimed the bell: it comes with the next instructions, unless the ringer loses its CPU between. */
const BELL_MS = 900;

export class Waiter {
  private idleRounds = 0;
  private spins = MOST_SPINS;
  private blindMs = NAP_MS;
  /** Packets come so fast that the next sleep is a nap. */
  private napping = false;
  /** The last sleep was a nap, and nothing has come since. */
  private inVain = false;
  /** Rounds one after the other that have emptied the interfaces. */
  private drainedRounds = 0;
  /** {@link CONTROL.EVENTS} as of the last look, which a whole round has followed. */
  private events: number;
  private readonly word: number;
  private readonly realTime: boolean;

  /**
   * Of the thread that makes it.
   * @param paced true where packets fall due by the clock (`--rate`), which rings no doorbell
   * @param poller of a thread that receives from network interfaces; closed by {@link close}
   * @param idleMs longest sleep; tests give another
   */
  constructor(
    private readonly policy: WaitPolicy,
    private readonly control: Int32Array,
    thread: number,
    private readonly paced: boolean,
    private readonly poller?: Poller,
    private readonly idleMs = IDLE_MS,
  ) {
    this.word = CONTROL.WAITING + thread;
    this.events = Atomics.load(control, CONTROL.EVENTS);
    this.realTime = isRealTime(scheduling().class);
    if (poller !== undefined) control[bellWord(control, thread)] = poller.bell;
  }

  /** Called after a round in which something moved. */
  busy(): void {
    this.moved();
    this.drainedRounds = 0;
  }

  private moved(): void {
    this.idleRounds = 0;
    this.blindMs = NAP_MS;
    this.inVain = false;
  }

  /**
   * Called instead of {@link busy} where the round has emptied the network interfaces. Another round at once would take the packet or two
   * that have come meanwhile, and one after it the next: a packet by itself costs twice what it costs in a burst, so at half load the thread
   * is never done, and as busy as one that spins. So it naps before it looks again, where packets come fast.
   * @param hasWork as in {@link idle}
   */
  drained(hasWork: () => boolean): void {
    this.moved();
    if (this.policy !== "adaptive" || this.poller === undefined) return;
    if (!this.napping && ++this.drainedRounds < STEADY_ROUNDS) return;
    this.napping = true;
    this.rest(hasWork, false, true);
  }

  /**
   * Called after a round in which nothing moved.
   * @param hasWork true where another thread has left something, or has left for good
   * @param blind something is awaited that wakes nobody: packets that fall due, slots that a driver sends from, a file
   * @param listening packets from network interfaces can be taken
   */
  idle(hasWork: () => boolean, blind = false, listening = false): void {
    if (this.policy === "spin") return;
    if (this.policy === "yield") {
      yieldCpu();
      return;
    }
    if (this.policy === "sleep") {
      Atomics.wait(this.control, this.word, ASLEEP.NO, SLEEP_MS);
      return;
    }
    // A look at an interface may be a system call.
    if (++this.idleRounds <= (this.poller === undefined ? this.spins : LEAST_SPINS)) return;
    this.rest(hasWork, blind, listening);
  }

  private rest(hasWork: () => boolean, blind: boolean, listening: boolean): void {
    const { control, word, poller } = this;
    this.drainedRounds = 0;
    // Announce the sleep first, look once more, then sleep: a producer either is seen here or sees the announcement.
    Atomics.store(control, word, poller === undefined ? ASLEEP.ON_WORD : ASLEEP.IN_POLL);
    const events = Atomics.load(control, CONTROL.EVENTS);
    let woken = WOKEN.BY_TIME;
    if (events !== this.events || hasWork()) this.events = events;
    else if (poller === undefined) this.sleep(blind);
    else woken = this.sleepInPoll(poller, blind, listening);
    const claimed = Atomics.exchange(control, word, ASLEEP.NO) === ASLEEP.NO;
    // Who rings has claimed the bell and signals in a moment: taken here, so that none is under way when the descriptor is closed.
    if (!claimed || poller === undefined) return;
    while (woken !== WOKEN.BY_BELL) woken = poller.wait(BELL_MS, false);
  }

  private sleepMs(blind: boolean): number {
    if (this.paced) return SLEEP_MS;
    if (!blind) return this.idleMs;
    const ms = this.blindMs;
    this.blindMs = Math.min(2 * ms, BLIND_MS);
    return ms;
  }

  private sleep(blind: boolean): void {
    const ms = this.sleepMs(blind);
    if (blind || this.paced) {
      Atomics.wait(this.control, this.word, ASLEEP.ON_WORD, ms);
      return;
    }
    const start = performance.now();
    Atomics.wait(this.control, this.word, ASLEEP.ON_WORD, ms);
    this.adapt(performance.now() - start);
  }

  /**
   * As many rounds before the next sleep as experience says (like the kernel's halt polling for virtual CPUs): where sleeps are short, more,
   * since work would have come meanwhile, and who rings pays for the wake-up; where they are long, fewer, since spinning was in vain.
   */
  private adapt(slept: number): void {
    if (slept < SHORT_MS) this.spins = Math.min(2 * this.spins, MOST_SPINS);
    else this.spins = Math.max(this.spins >> 1, LEAST_SPINS);
  }

  private sleepInPoll(poller: Poller, blind: boolean, listening: boolean): WOKEN {
    if (this.inVain) this.napping = false;
    this.inVain = false;
    if (this.napping && listening) {
      const woken = poller.wait(NAP_MS, false);
      this.inVain = woken === WOKEN.BY_TIME;
      return woken;
    }
    const start = performance.now();
    const woken = poller.wait(this.sleepMs(blind), listening);
    this.napping = woken === WOKEN.BY_SOCKET && performance.now() - start < NAP_MS;
    return woken;
  }

  /**
   * The same while rows are at the device, which rings no doorbell. Rows are done within microseconds, so the thread does not sleep; but it
   * offers its core, since on an emulated device that is where the kernel runs.
   */
  poll(): void {
    if (this.policy === "spin") return;
    if (this.policy === "sleep") Atomics.wait(this.control, this.word, ASLEEP.NO, SLEEP_MS);
    // What yields to its own class alone has to sleep for the others.
    else if (this.realTime) Atomics.wait(this.control, this.word, ASLEEP.NO, NAP_MS);
    else yieldCpu();
  }

  /** Of a thread that has done its work; nobody can wake it afterwards. */
  close(): void {
    this.poller?.close();
  }
}
