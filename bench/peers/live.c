/*
 * Live traffic in C: a forwarder that makes the system calls wingbeat's ports make, a sender, and counters.
 *
 *   live forward xdp|xdp-skb|packet|mmsg IN OUT spin|poll|nap MESSAGES     nap: sleeps as wingbeat's adaptive waiting
 *   live send INTERFACE BYTES FLOWS RATE PACKETS SECONDS      RATE in packets/s, 0: as fast as it goes; PACKETS, SECONDS 0: for ever
 *   live flood INTERFACE OTHER_END BYTES FLOWS RATE SECONDS   the same at higher rates; RATE 0: more than anybody takes
 *   live count INTERFACE                                      frames of `send`: gaps, latency
 *   live watch                                                a line of interface counters for each line on stdin
 */
#include "live-packet.h"
#include "live-xdp.h"
#include "live-send.h"
#include "live-count.h"
#include "live-flood.h"

static int forward(char **args) {
  const char *name = args[0], *in = args[1], *out = args[2];
  const int polls = strcmp(args[3], "poll") == 0, naps = strcmp(args[3], "nap") == 0;
  const uint32_t messages = (uint32_t)atoi(args[4]), batch = messages > BATCH ? messages : BATCH;
  if (messages < 1 || messages > MAX_BATCH) {
    fprintf(stderr, "MESSAGES is 1 to %d\n", MAX_BATCH);
    return 2;
  }
  make_slots();
  const int xdp = strncmp(name, "xdp", 3) == 0;
  const struct driver driver =
      xdp ? open_xdp(in, out, strcmp(name, "xdp-skb") == 0) : open_packet(in, out, strcmp(name, "packet") == 0, messages);
  uint32_t burst[MAX_BATCH], idle = 0;
  uint64_t packets = 0;
  if (naps) prctl(PR_SET_TIMERSLACK, SLACK_NS);
  ready();
  while (!stop) {
    if (driver.keeps) put(burst, driver.reclaim(burst));
    const uint32_t free = take(burst, batch), count = driver.receive(burst, free);
    put(burst + count, free - count);
    if (count == 0) {
      if (polls && ++idle >= SPINS) sleep_on(driver.fd);
      if (naps) sleep_or_nap(driver.fd);
      continue;
    }
    idle = 0;
    packets += count;
    for (uint32_t i = 0; i < count; i++) touch(burst[i]);
    driver.transmit(burst, count);
    if (!driver.keeps) put(burst, count);
    if (naps) nap_if_emptied(count < (strcmp(name, "mmsg") == 0 ? messages : batch));
  }
  printf("{\"packets\":%llu,\"bad_headers\":%llu,\"not_sent\":%llu}\n", (unsigned long long)packets,
         (unsigned long long)bad_headers, (unsigned long long)not_sent);
  return 0;
}

int main(int count, char **args) {
  end_on_signals();
  if (count == 7 && strcmp(args[1], "forward") == 0) return forward(args + 2);
  if (count == 8 && strcmp(args[1], "send") == 0) return send_frames(args + 2);
  if (count == 8 && strcmp(args[1], "flood") == 0) return flood(args + 2);
  if (count == 3 && strcmp(args[1], "count") == 0) return count_frames(args[2]);
  if (count == 2 && strcmp(args[1], "watch") == 0) return watch();
  fprintf(stderr, "see the head of live.c for how it is called\n");
  return 2;
}
