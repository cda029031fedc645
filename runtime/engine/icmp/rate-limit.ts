/**
 * How many messages the gateway sends, all its threads together: RFC 1812 section 4.3.2.8 and RFC 4443 section 2.4 (f) ask for a limit; the values
 * are Linux's (net.ipv4.icmp_msgs_per_sec and icmp_msgs_burst).
 *
 * The bucket of tokens is kept as the generic cell rate algorithm has it (ITU-T I.371): in one word, the ms in which the messages sent so far would be over
 * if they had come evenly, one in each ms. That is at most a burst ahead of now; a thread that sends one more moves it by compare-and-swap.
 */
export const MESSAGES_PER_SECOND = 1000;
export const MESSAGE_BURST = 50;
/** Of the word. */
export const LIMIT_BYTES = 4;

const NS_PER_MESSAGE = 1e9 / MESSAGES_PER_SECOND;
/** In the time of so many messages. */
const MINUTE = 60 * MESSAGES_PER_SECOND;

export class RateLimit {
  private readonly word: Int32Array;

  /** @param memory shared by all threads of a run */
  constructor(memory: SharedArrayBuffer) {
    this.word = new Int32Array(memory);
  }

  /** @param now ns. @returns false where a message would be one too many */
  allows(now: number): boolean {
    return ahead(Atomics.load(this.word, 0), tick(now)) < MESSAGE_BURST;
  }

  /** One message more. @returns false where it would be one too many: there is none then */
  take(now: number): boolean {
    const { word } = this;
    const at = tick(now);
    for (;;) {
      const last = Atomics.load(word, 0);
      const used = ahead(last, at);
      if (used >= MESSAGE_BURST) return false;
      if (Atomics.compareExchange(word, 0, last, (at + used + 1) | 0) === last) return true;
    }
  }
}

/** The time in units of a message's, which come round after 49 days. */
const tick = (now: number) => Math.floor(now / NS_PER_MESSAGE) | 0;

/**
 * Messages of the burst that are used up; more than a burst where another thread read its clock later. What is a minute ahead is from before the
 * units came round.
 */
function ahead(last: number, at: number): number {
  const used = (last - at) | 0;
  return used < 0 || used > MINUTE ? 0 : used;
}
