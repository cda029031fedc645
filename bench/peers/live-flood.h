/*
 * A sender that costs the machine little, so that what forwards is what limits the rate: the kernel makes XDP frames and a program sends those
 * that are due to an interface (BPF_F_TEST_XDP_LIVE_FRAMES). The other end of the wire must take XDP frames: a native XDP program, or GRO.
 */
#ifndef LIVE_FLOOD_H
#define LIVE_FLOOD_H
#include "live-send.h"
#include "live-xdp.h"
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#define FLOOD_BATCH 64
/* Paced frames wait for the end of a batch, those that are not due included. */
#define PACED_BATCH 8
/* A call takes some 50 ms to begin and end: it lasts for minutes, and a signal ends it. */
#define FLOOD_REPEAT 1000000000u
/* What is late by more is given up, not made up for: bursts would not fit in the wire's ring. */
#define MOST_LATE_NS 50000

/* What program and sender share. */
struct pace {
  uint64_t due, interval, sent;
};

static void turn_gro_on(const char *name) {
  struct ethtool_value value = {.cmd = ETHTOOL_SGRO, .data = 1};
  struct ifreq request = {.ifr_data = (char *)&value};
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (ioctl(fd, SIOCETHTOOL, &request)) fail("GRO");
  close(fd);
}

/* Redirects a frame that is due, with its number, the time, and the number's low bits as source port; drops others. */
static int pace_program(int map, unsigned index, uint32_t flows) {
#define DROP(at) (int16_t)(31 - (at))
  const struct bpf_insn code[] = {
      /* 0: r6 = context, r7 = struct pace, r8 = now */
      {.code = 0xbf, .dst_reg = 6, .src_reg = 1},
      {.code = 0x18, .dst_reg = 7, .src_reg = BPF_PSEUDO_MAP_VALUE, .imm = map},
      {0},
      {.code = 0x85, .imm = BPF_FUNC_ktime_get_ns},
      {.code = 0xbf, .dst_reg = 8, .src_reg = 0},
      /* 5: r1 = due, not before now - MOST_LATE_NS; not yet: drop */
      {.code = 0x79, .dst_reg = 1, .src_reg = 7, .off = offsetof(struct pace, due)},
      {.code = 0xbf, .dst_reg = 2, .src_reg = 8},
      {.code = 0x07, .dst_reg = 2, .imm = -MOST_LATE_NS},
      {.code = 0x3d, .dst_reg = 1, .src_reg = 2, .off = 1},
      {.code = 0xbf, .dst_reg = 1, .src_reg = 2},
      {.code = 0x2d, .dst_reg = 1, .src_reg = 8, .off = DROP(11)},
      /* 11: due += interval; r3 = number of the frame */
      {.code = 0x79, .dst_reg = 2, .src_reg = 7, .off = offsetof(struct pace, interval)},
      {.code = 0x0f, .dst_reg = 1, .src_reg = 2},
      {.code = 0x7b, .dst_reg = 7, .src_reg = 1, .off = offsetof(struct pace, due)},
      {.code = 0x79, .dst_reg = 3, .src_reg = 7, .off = offsetof(struct pace, sent)},
      /* 15: r2 = frame, r5 = its end */
      {.code = 0x61, .dst_reg = 2, .src_reg = 6, .off = 0},
      {.code = 0x61, .dst_reg = 5, .src_reg = 6, .off = 4},
      {.code = 0xbf, .dst_reg = 4, .src_reg = 2},
      {.code = 0x07, .dst_reg = 4, .imm = STAMP_AT + sizeof(struct stamp)},
      {.code = 0x2d, .dst_reg = 4, .src_reg = 5, .off = DROP(20)},
      /* 20: number, time, source port */
      {.code = 0x7b, .dst_reg = 2, .src_reg = 3, .off = STAMP_AT + offsetof(struct stamp, number)},
      {.code = 0x7b, .dst_reg = 2, .src_reg = 8, .off = STAMP_AT + offsetof(struct stamp, ns)},
      {.code = 0xbf, .dst_reg = 4, .src_reg = 3},
      {.code = 0x57, .dst_reg = 4, .imm = (int)flows - 1},
      {.code = 0x6b, .dst_reg = 2, .src_reg = 4, .off = 34},
      /* 25: sent++; return bpf_redirect(index, 0) */
      {.code = 0x07, .dst_reg = 3, .imm = 1},
      {.code = 0x7b, .dst_reg = 7, .src_reg = 3, .off = offsetof(struct pace, sent)},
      {.code = 0xb7, .dst_reg = 1, .imm = (int)index},
      {.code = 0xb7, .dst_reg = 2, .imm = 0},
      {.code = 0x85, .imm = BPF_FUNC_redirect},
      {.code = 0x95},
      /* 31 */
      {.code = 0xb7, .dst_reg = 0, .imm = XDP_DROP},
      {.code = 0x95},
  };
#undef DROP
  return load_program(code, sizeof code / sizeof *code);
}

/* INTERFACE, its other end, BYTES, FLOWS (a power of two), RATE (0: all that goes), SECONDS (0: for ever). */
static int flood(char **args) {
  const uint32_t bytes = (uint32_t)atoi(args[2]), flows = (uint32_t)atoi(args[3]);
  const double rate = atof(args[4]), seconds = atof(args[5]);
  static uint8_t frame[SLOT_SIZE];
  if (bytes < STAMP_AT + sizeof(struct stamp) || bytes > MAX_FRAME || flows < 1 || flows > MOST_FLOWS || (flows & (flows - 1))) return 2;
  turn_gro_on(args[1]);
  memset(frame, 'x', sizeof frame);
  write_flow(frame, 0, bytes);
  memcpy(frame + STAMP_AT, &(struct stamp){.magic = MAGIC}, sizeof(struct stamp));
  union bpf_attr map = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = sizeof(struct pace), .max_entries = 1,
                        .map_flags = BPF_F_MMAPABLE};
  const int map_fd = bpf(BPF_MAP_CREATE, &map);
  volatile struct pace *pace = map_fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
  if (pace == MAP_FAILED) fail("BPF array");
  pace->interval = rate > 0 ? (uint64_t)(1e9 / rate) : 0;
  const int program = pace_program(map_fd, index_of(args[0]), flows);
  ready();
  const int64_t start = clock_ns(CLOCK_MONOTONIC);
  if (seconds > 0) {
    const struct itimerval timer = {.it_value = {(time_t)seconds, (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6)}};
    setitimer(ITIMER_REAL, &timer, NULL);
  }
  while (!stop) {
    union bpf_attr run = {0};
    run.test.prog_fd = (uint32_t)program;
    run.test.data_in = (uintptr_t)frame;
    run.test.data_size_in = bytes;
    run.test.repeat = FLOOD_REPEAT;
    run.test.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
    run.test.batch_size = rate > 0 ? PACED_BATCH : FLOOD_BATCH;
    if (bpf(BPF_PROG_TEST_RUN, &run) && errno != EINTR) fail("BPF_PROG_TEST_RUN");
  }
  printf("{\"sent\":%llu,\"seconds\":%.6f}\n", (unsigned long long)pace->sent, (double)(clock_ns(CLOCK_MONOTONIC) - start) / 1e9);
  return 0;
}

#endif
