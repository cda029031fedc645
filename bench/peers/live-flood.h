/*
 * A sender that costs next to nothing, so that the forwarder is what limits the rate: the kernel makes XDP frames of one frame and
 * redirects them to an interface (BPF_F_TEST_XDP_LIVE_FRAMES). The other end of the wire must take XDP frames: a native XDP program, or GRO.
 */
#ifndef LIVE_FLOOD_H
#define LIVE_FLOOD_H
#include "live-send.h"
#include "live-xdp.h"
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#define FLOOD_BATCH 64
#define FLOOD_REPEAT 100000

static void turn_gro_on(const char *name) {
  struct ethtool_value value = {.cmd = ETHTOOL_SGRO, .data = 1};
  struct ifreq request = {.ifr_data = (char *)&value};
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (ioctl(fd, SIOCETHTOOL, &request)) fail("GRO");
  close(fd);
}

/* INTERFACE, its other end, BYTES. */
static int flood(char **args) {
  const uint32_t bytes = (uint32_t)atoi(args[2]);
  static uint8_t frame[SLOT_SIZE];
  if (bytes < 64 || bytes > MAX_FRAME) return 2;
  turn_gro_on(args[1]);
  memset(frame, 'x', sizeof frame);
  write_flow(frame, 0, bytes);
  const struct bpf_insn code[] = {
      {.code = 0xb7, .dst_reg = 1, .imm = (int)index_of(args[0])},
      {.code = 0xb7, .dst_reg = 2, .imm = 0},
      {.code = 0x85, .imm = BPF_FUNC_redirect},
      {.code = 0x95},
  };
  const int program = load_program(code, sizeof code / sizeof *code);
  ready();
  uint64_t made = 0;
  for (; !stop; made += FLOOD_REPEAT) {
    union bpf_attr run = {0};
    run.test.prog_fd = (uint32_t)program;
    run.test.data_in = (uintptr_t)frame;
    run.test.data_size_in = bytes;
    run.test.repeat = FLOOD_REPEAT;
    run.test.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
    run.test.batch_size = FLOOD_BATCH;
    if (bpf(BPF_PROG_TEST_RUN, &run) && errno != EINTR) fail("BPF_PROG_TEST_RUN");
  }
  printf("{\"made\":%llu}\n", (unsigned long long)made);
  return 0;
}

#endif
