/* Counters: of frames of live-send.h as they arrive, and of interfaces. */
#ifndef LIVE_COUNT_H
#define LIVE_COUNT_H
#include "live-packet.h"
#include "live-send.h"

/* Latencies in buckets of 1/64 of a power of two, from 1 ns on. */
#define STEPS 64
static uint64_t buckets[64 * STEPS];

static int bucket_of(uint64_t ns) {
  if (ns < STEPS) return (int)ns;
  const int power = 63 - __builtin_clzll(ns);
  return (power - 5) * STEPS + (int)((ns >> (power - 6)) & (STEPS - 1));
}

/* The bucket's middle. */
static double value_of(int bucket) {
  if (bucket < STEPS) return bucket;
  const int power = bucket / STEPS + 5;
  return (double)((uint64_t)(STEPS + bucket % STEPS) << (power - 6)) + (double)(1ull << (power - 6)) / 2;
}

static double percentile(uint64_t count, double share) {
  uint64_t below = 0;
  for (int i = 0; i < 64 * STEPS; i++) {
    below += buckets[i];
    if (below > 0 && (double)below >= share * (double)count) return value_of(i) / 1e3;
  }
  return 0;
}

static int count_frames(const char *name) {
  struct blocks blocks = {0};
  open_blocks(&blocks, name);
  uint64_t packets = 0, others = 0, first = 0, last = 0, backwards = 0, early = 0;
  int64_t most = 0;
  /* The kernel's stamps are of CLOCK_REALTIME. */
  const int64_t ahead = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC);
  ready();
  for (;;) {
    struct tpacket3_hdr *frame = next_frame(&blocks);
    if (!frame) {
      if (stop) break;
      sleep_on(blocks.fd);
      continue;
    }
    struct stamp stamp;
    if (frame->tp_snaplen >= STAMP_AT + sizeof stamp) memcpy(&stamp, (uint8_t *)frame + frame->tp_mac + STAMP_AT, sizeof stamp);
    else stamp.magic = 0;
    if (stamp.magic != MAGIC) {
      others++;
    } else {
      /* When the kernel received it: how late this program comes to it does not matter. */
      const int64_t ns = (int64_t)frame->tp_sec * 1000000000 + frame->tp_nsec - ahead - stamp.ns;
      if (packets++ == 0) first = last = stamp.number;
      if (stamp.number < last) backwards++;
      else last = stamp.number;
      if (ns < 0) early++;
      else buckets[bucket_of((uint64_t)ns)]++;
      if (ns > most) most = ns;
    }
    taken(&blocks);
  }
  struct tpacket_stats_v3 statistics = {0};
  socklen_t bytes = sizeof statistics;
  getsockopt(blocks.fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &bytes);
  const uint64_t spanned = packets == 0 ? 0 : last - first + 1;
  printf("{\"packets\":%llu,\"missing\":%lld,\"backwards\":%llu,\"others\":%llu,\"not_counted\":%u,\"early\":%llu,",
         (unsigned long long)packets, (long long)(spanned - packets), (unsigned long long)backwards, (unsigned long long)others,
         statistics.tp_drops, (unsigned long long)early);
  const uint64_t timed = packets - early;
  printf("\"p50_us\":%.2f,\"p99_us\":%.2f,\"p999_us\":%.2f,\"max_us\":%.2f}\n", percentile(timed, 0.5), percentile(timed, 0.99),
         percentile(timed, 0.999), (double)most / 1e3);
  return 0;
}

static void print_interfaces(void) {
  FILE *file = fopen("/proc/self/net/dev", "r");
  char line[512];
  if (!file) fail("/proc/self/net/dev");
  printf("{\"ns\":%lld,\"interfaces\":{", (long long)clock_ns(CLOCK_MONOTONIC));
  for (const char *comma = ""; fgets(line, sizeof line, file);) {
    char name[64];
    unsigned long long rx, tx;
    /* bytes packets errs drop fifo frame compressed multicast, the same of tx */
    if (sscanf(line, " %63[^:]: %*u %llu %*u %*u %*u %*u %*u %*u %*u %llu", name, &rx, &tx) != 3) continue;
    printf("%s\"%s\":{\"rx\":%llu,\"tx\":%llu}", comma, name, rx, tx);
    comma = ",";
  }
  fclose(file);
  printf("}}\n");
  fflush(stdout);
}

static int watch(void) {
  char line[64];
  printf("ready\n");
  fflush(stdout);
  while (!stop && fgets(line, sizeof line, stdin)) print_interfaces();
  return 0;
}

#endif
