/*
 * What the modes of live.c share. A slot is 2048 bytes with the frame from byte 256 on, as in wingbeat's arena; a burst is 64 packets;
 * free slots are a stack. A program of live.c prints `ready`, ends on SIGINT, SIGTERM or at the end of stdin, and prints a line of JSON.
 */
#ifndef LIVE_H
#define LIVE_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 4096
#define SLOT_SHIFT 11
#define SLOT_SIZE (1u << SLOT_SHIFT)
#define OFFSET 256
#define MAX_FRAME (SLOT_SIZE - OFFSET - 32)
#define BATCH 64
#define MAX_BATCH 256
/* Fruitless rounds before a poll, and its longest sleep: as wingbeat's adaptive waiting. */
#define SPINS 100
#define SLEEP_NS 10000000
/* Naps: as runtime/engine/wait.ts has them. */
#define NAP_NS 40000
#define STEADY_ROUNDS 8
#define LEAST_SPINS 2
#define SLACK_NS 1000

static volatile sig_atomic_t stop;

static inline void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static inline void on_signal(int signal) {
  (void)signal;
  stop = 1;
}

static pthread_t main_thread;
static inline void *await_end_of_stdin(void *unused) {
  char some[64];
  while (read(0, some, sizeof some) > 0) continue;
  pthread_kill(main_thread, SIGTERM);
  return unused;
}

static inline void end_on_signals(void) {
  const struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGALRM, &action, NULL);
}

static inline void ready(void) {
  pthread_t thread;
  main_thread = pthread_self();
  pthread_create(&thread, NULL, await_end_of_stdin, NULL);
  printf("ready\n");
  fflush(stdout);
}

static inline int64_t clock_ns(clockid_t id) {
  struct timespec time;
  clock_gettime(id, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static inline unsigned index_of(const char *name) {
  const unsigned index = if_nametoindex(name);
  if (index == 0) fail(name);
  return index;
}

/* 1 where something is there, after at most SLEEP_NS. */
static inline int sleep_on(int fd) {
  struct pollfd one = {.fd = fd, .events = POLLIN};
  const struct timespec limit = {.tv_nsec = SLEEP_NS};
  return ppoll(&one, 1, &limit, NULL) > 0;
}

static int napping, in_vain;
static uint32_t emptied, fruitless;

static inline void nap(void) {
  const struct timespec limit = {.tv_nsec = NAP_NS};
  ppoll(NULL, 0, &limit, NULL);
  in_vain = 1;
}

/* After a round with packets. */
static inline void nap_if_emptied(int is_emptied) {
  fruitless = 0;
  in_vain = 0;
  if (!is_emptied) emptied = 0;
  else if (napping || ++emptied >= STEADY_ROUNDS) emptied = 0, napping = 1, nap();
}

/* After a round without. */
static inline void sleep_or_nap(int fd) {
  if (++fruitless <= LEAST_SPINS) return;
  emptied = 0;
  if (in_vain) napping = 0;
  in_vain = 0;
  if (napping) {
    nap();
    return;
  }
  const int64_t start = clock_ns(CLOCK_MONOTONIC);
  napping = sleep_on(fd) && clock_ns(CLOCK_MONOTONIC) - start < NAP_NS;
}

/* Packet memory: huge pages where there are any. */
static uint8_t *slots;
static uint16_t off[SLOTS], len[SLOTS];
static uint32_t pool[SLOTS], pooled;

static inline void make_slots(void) {
  slots = mmap(NULL, (size_t)SLOTS * SLOT_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (slots == MAP_FAILED) fail("mmap");
  madvise(slots, (size_t)SLOTS * SLOT_SIZE, MADV_HUGEPAGE);
  for (uint32_t i = 0; i < SLOTS; i++) pool[pooled++] = SLOTS - 1 - i;
}

static inline uint32_t take(uint32_t *burst, uint32_t want) {
  const uint32_t count = want < pooled ? want : pooled;
  for (uint32_t i = 0; i < count; i++) burst[i] = pool[--pooled];
  return count;
}

static inline void put(const uint32_t *burst, uint32_t count) {
  for (uint32_t i = count; i > 0; i--) pool[pooled++] = burst[i - 1];
}

/* The touch: what a gate looks at in an IPv4 header, its checksum included. */
static uint64_t bad_headers;
static inline void touch(uint32_t slot) {
  const uint8_t *ip = slots + ((size_t)slot << SLOT_SHIFT) + off[slot] + ETH_HLEN;
  const uint16_t *halves = (const uint16_t *)ip;
  uint32_t sum = 0;
  for (int i = 0; i < 10; i++) sum += halves[i];
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  if (ip[0] != 0x45 || sum != 0xffff || len[slot] < ETH_HLEN + 20) bad_headers++;
}

/* A way of receiving and sending. */
struct driver {
  /* Of the socket that receives. */
  int fd;
  /* Slots come back later, by reclaim. */
  int keeps;
  uint32_t (*receive)(uint32_t *burst, uint32_t want);
  void (*transmit)(const uint32_t *burst, uint32_t count);
  uint32_t (*reclaim)(uint32_t *burst);
};
static uint64_t not_sent;

#endif
