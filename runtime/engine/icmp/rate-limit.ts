/**
 * How many messages the gateway sends: a bucket of tokens, as RFC 1812 section 4.3.2.8 and RFC 4443 section 2.4 (f) ask for, with Linux's
 * values (net.ipv4.icmp_msgs_per_sec and icmp_msgs_burst). Each sending thread has one.
 */
export const MESSAGES_PER_SECOND = 1000;
export const MESSAGE_BURST = 50;

export class RateLimit {
  private tokens = MESSAGE_BURST;
  private filledNs = Number.NaN;

  /** @param now ns. @returns false where a message would be one too many */
  allows(now: number): boolean {
    const passed = now - this.filledNs;
    // NaN at first.
    if (passed > 0) this.tokens = Math.min(MESSAGE_BURST, this.tokens + (passed * MESSAGES_PER_SECOND) / 1e9);
    this.filledNs = now;
    return this.tokens >= 1;
  }

  /** One message is sent. */
  take(): void {
    this.tokens--;
  }
}
