/*
 * AF_XDP without libraries, as runtime/nic/xdp does it: rings of 2048 (completion twice that), a quarter of the slots in the fill ring,
 * need_wakeup, one socket to receive and one to send over the same memory, the program on a BPF link.
 */
#ifndef LIVE_XDP_H
#define LIVE_XDP_H
#include "live.h"
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <sys/syscall.h>

#define RING 2048u
#define STOCK (SLOTS / 4)
#define UNUSED 2u
#define PATIENCE_NS 100000000
/* Socket option of Linux 6.18 on, not in older headers: frames that a kernel that copies sends in one call. */
#define MAX_TX_SKB_BUDGET 9

struct ring {
  uint32_t *producer, *consumer, *flags, size, mask, own;
  uint64_t *addresses;
  struct xdp_desc *descriptors;
};
struct xsk {
  int fd, zero_copy;
  struct ring rx, tx, fill, completion;
};
static struct xsk xsk_in, xsk_out;
/* Index of the TX ring up to which the kernel has sent or lost. */
static uint32_t passed;

static void make_ring(int fd, struct ring *ring, uint32_t size, uint64_t page, const struct xdp_ring_offset *at,
                      size_t entry) {
  void *memory = mmap(NULL, at->desc + size * entry, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, (off_t)page);
  if (memory == MAP_FAILED) fail("mmap of a ring");
  ring->producer = (uint32_t *)((char *)memory + at->producer);
  ring->consumer = (uint32_t *)((char *)memory + at->consumer);
  ring->flags = (uint32_t *)((char *)memory + at->flags);
  ring->addresses = (uint64_t *)((char *)memory + at->desc);
  ring->descriptors = (struct xdp_desc *)((char *)memory + at->desc);
  ring->size = size;
  ring->mask = size - 1;
}

static void open_xsk(struct xsk *xsk, unsigned index, int rx, int copy) {
  const int fd = xsk->fd = socket(AF_XDP, SOCK_RAW, 0);
  if (fd < 0) fail("AF_XDP socket");
  const struct xdp_umem_reg memory = {.addr = (uintptr_t)slots, .len = (uint64_t)SLOTS * SLOT_SIZE, .chunk_size = SLOT_SIZE};
  if (setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &memory, sizeof memory)) fail("XDP_UMEM_REG");
  const uint32_t fill = rx ? RING : UNUSED, completion = rx ? UNUSED : 2 * RING, ring = RING;
  if (setsockopt(fd, SOL_XDP, XDP_UMEM_FILL_RING, &fill, 4) || setsockopt(fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &completion, 4) ||
      setsockopt(fd, SOL_XDP, rx ? XDP_RX_RING : XDP_TX_RING, &ring, 4))
    fail("AF_XDP rings");
  /* An older kernel refuses, and sends 32. */
  const uint32_t burst = MAX_BATCH;
  if (!rx) setsockopt(fd, SOL_XDP, MAX_TX_SKB_BUDGET, &burst, 4);
  struct xdp_mmap_offsets at;
  socklen_t bytes = sizeof at;
  if (getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &bytes)) fail("XDP_MMAP_OFFSETS");
  make_ring(fd, &xsk->fill, fill, XDP_UMEM_PGOFF_FILL_RING, &at.fr, 8);
  make_ring(fd, &xsk->completion, completion, XDP_UMEM_PGOFF_COMPLETION_RING, &at.cr, 8);
  if (rx) make_ring(fd, &xsk->rx, RING, XDP_PGOFF_RX_RING, &at.rx, sizeof(struct xdp_desc));
  else make_ring(fd, &xsk->tx, RING, XDP_PGOFF_TX_RING, &at.tx, sizeof(struct xdp_desc));
  const struct sockaddr_xdp address = {
      .sxdp_family = AF_XDP, .sxdp_flags = XDP_USE_NEED_WAKEUP | (copy ? XDP_COPY : 0), .sxdp_ifindex = index};
  if (bind(fd, (const struct sockaddr *)&address, sizeof address)) fail("bind of an AF_XDP socket");
  struct xdp_options options = {0};
  bytes = sizeof options;
  xsk->zero_copy = getsockopt(fd, SOL_XDP, XDP_OPTIONS, &options, &bytes) == 0 && (options.flags & XDP_OPTIONS_ZEROCOPY);
}

static int bpf(int command, union bpf_attr *attributes) {
  return (int)syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

static int load_program(const struct bpf_insn *code, uint32_t count) {
  union bpf_attr load = {.prog_type = BPF_PROG_TYPE_XDP, .insn_cnt = count, .insns = (uintptr_t)code,
                         .license = (uintptr_t)"Dual MIT/GPL", .expected_attach_type = BPF_XDP};
  const int program = bpf(BPF_PROG_LOAD, &load);
  if (program < 0) fail("XDP program");
  return program;
}

/* Redirects queue 0 to the socket; attached until this process ends. */
static void attach_program(unsigned index, int fd, int skb) {
  union bpf_attr map = {.map_type = BPF_MAP_TYPE_XSKMAP, .key_size = 4, .value_size = 4, .max_entries = 1};
  const int map_fd = bpf(BPF_MAP_CREATE, &map);
  if (map_fd < 0) fail("XSKMAP");
  const struct bpf_insn code[] = {
      {.code = 0x61, .dst_reg = 2, .src_reg = 1, .off = 16},
      {.code = 0x18, .dst_reg = 1, .src_reg = 1, .imm = map_fd},
      {0},
      {.code = 0xb7, .dst_reg = 3, .imm = XDP_PASS},
      {.code = 0x85, .imm = BPF_FUNC_redirect_map},
      {.code = 0x95},
  };
  const int program = load_program(code, sizeof code / sizeof *code);
  union bpf_attr link = {0};
  link.link_create.prog_fd = (uint32_t)program;
  link.link_create.target_ifindex = index;
  link.link_create.attach_type = BPF_XDP;
  link.link_create.flags = skb ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
  if (bpf(BPF_LINK_CREATE, &link) < 0) fail("attaching the XDP program");
  const uint32_t queue = 0, socket = (uint32_t)fd;
  union bpf_attr update = {.map_fd = (uint32_t)map_fd, .key = (uintptr_t)&queue, .value = (uintptr_t)&socket};
  if (bpf(BPF_MAP_UPDATE_ELEM, &update)) fail("XSKMAP entry");
}

static inline uint32_t load(const uint32_t *index) { return __atomic_load_n(index, __ATOMIC_ACQUIRE); }
static inline void store(uint32_t *index, uint32_t value) { __atomic_store_n(index, value, __ATOMIC_RELEASE); }
static inline int needs_wakeup(const struct ring *ring) { return load(ring->flags) & XDP_RING_NEED_WAKEUP; }

static uint32_t xdp_receive(uint32_t *burst, uint32_t want) {
  struct ring *rx = &xsk_in.rx, *fill = &xsk_in.fill;
  const uint32_t pending = load(rx->producer) - rx->own, some = want < pending ? want : pending;
  for (uint32_t i = 0; i < some; i++) {
    const struct xdp_desc *from = &rx->descriptors[(rx->own + i) & rx->mask];
    fill->addresses[(fill->own + i) & fill->mask] = (uint64_t)burst[i] << SLOT_SHIFT;
    const uint32_t slot = (uint32_t)(from->addr >> SLOT_SHIFT);
    burst[i] = slot;
    off[slot] = from->addr & (SLOT_SIZE - 1);
    len[slot] = (uint16_t)from->len;
  }
  if (some > 0) {
    rx->own += some;
    store(rx->consumer, rx->own);
    fill->own += some;
    store(fill->producer, fill->own);
  }
  if (needs_wakeup(fill)) recvfrom(xsk_in.fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
  return some;
}

static uint32_t xdp_reclaim(uint32_t *burst) {
  struct ring *completion = &xsk_out.completion;
  uint32_t count = load(completion->producer) - completion->own;
  if (count > MAX_BATCH) count = MAX_BATCH;
  for (uint32_t i = 0; i < count; i++) {
    burst[i] = (uint32_t)(completion->addresses[(completion->own + i) & completion->mask] >> SLOT_SHIFT);
  }
  if (count > 0) {
    completion->own += count;
    store(completion->consumer, completion->own);
  }
  return count;
}

static void reap(void) {
  uint32_t burst[MAX_BATCH];
  for (uint32_t count; (count = xdp_reclaim(burst)) > 0;) put(burst, count);
}

/* Has a kernel that copies send what is in the ring: a burst in each call, or with older kernels 32 frames. */
static void push(void) {
  struct ring *tx = &xsk_out.tx;
  int64_t deadline = 0;
  while (passed != tx->own && !stop) {
    const int refused = sendto(xsk_out.fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 ? errno : 0;
    const uint32_t published = load(tx->consumer);
    const int moved = (int32_t)(published - passed) > 0;
    if (moved) passed = published;
    if (refused == EBUSY) {
      if (!moved) passed++;
      not_sent++;
    }
    if (moved || refused == EBUSY) {
      deadline = 0;
      continue;
    }
    reap();
    const int64_t now = clock_ns(CLOCK_MONOTONIC);
    if (deadline == 0) deadline = now + PATIENCE_NS;
    if (now > deadline) fail("the TX ring stands still");
  }
}

static void xdp_transmit(const uint32_t *burst, uint32_t count) {
  struct ring *tx = &xsk_out.tx;
  reap();
  while (tx->size - (tx->own - load(tx->consumer)) < count && !stop) {
    sendto(xsk_out.fd, NULL, 0, MSG_DONTWAIT, NULL, 0);
    reap();
  }
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t slot = burst[i];
    tx->descriptors[(tx->own + i) & tx->mask] =
        (struct xdp_desc){.addr = ((uint64_t)slot << SLOT_SHIFT) + off[slot], .len = len[slot]};
  }
  tx->own += count;
  store(tx->producer, tx->own);
  if (!xsk_out.zero_copy) push();
  else if (needs_wakeup(tx)) sendto(xsk_out.fd, NULL, 0, MSG_DONTWAIT, NULL, 0);
}

static struct driver open_xdp(const char *in, const char *out, int skb) {
  open_xsk(&xsk_in, index_of(in), 1, skb);
  open_xsk(&xsk_out, index_of(out), 0, skb);
  struct ring *fill = &xsk_in.fill;
  uint32_t slot;
  for (uint32_t i = 0; i < STOCK && take(&slot, 1) == 1; i++) fill->addresses[fill->own++ & fill->mask] = (uint64_t)slot << SLOT_SHIFT;
  store(fill->producer, fill->own);
  attach_program(index_of(in), xsk_in.fd, skb);
  return (struct driver){xsk_in.fd, 1, xdp_receive, xdp_transmit, xdp_reclaim};
}

#endif
