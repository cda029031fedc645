/*
 * IPv4 forwarding on DPDK's rte_lpm: what nfs/router does to a packet, as one would write it in C (l3fwd's steps without its
 * ports). CONFIG is a file of `PREFIX/LEN NEXTHOP` lines in ascending prefix length, next hops numbered from 1.
 *
 * cc -O3 router.c $(pkg-config --cflags --libs libdpdk) -march=native
 */
#define _GNU_SOURCE
#include "protocol.h"

#include <sched.h>

#include <rte_eal.h>
#include <rte_lpm.h>
#include <rte_version.h>

enum { FORWARD, NO_ROUTE, TTL_EXPIRED, NOT_IPV4 };
#define IS_IPV4 1
#define MAX_HOPS 65536
#define MAX_TBL8 4096

/* Metadata of a slot: what DPDK keeps in an mbuf (l2_len, packet_type, port). */
static uint16_t l3[PEER_SLOTS];
static uint8_t flags[PEER_SLOTS];
static uint8_t port_out[PEER_SLOTS];
static uint8_t outcomes[PEER_BATCH];

static uint16_t *frame_l3;
static uint8_t *frame_flags;

static struct rte_lpm *lpm;
/* Destination and source MAC of a next hop, then its port. */
static struct rewrite { uint8_t macs[12]; uint8_t port; uint8_t unused[3]; } rewrites[MAX_HOPS];

static void arrive(uint32_t slot, uint32_t frame) {
  l3[slot] = frame_l3[frame];
  flags[slot] = frame_flags[frame];
}

static void process(uint32_t first, uint32_t count) {
  uint32_t destinations[PEER_BATCH + 3] __attribute__((aligned(16)));
  uint32_t hops[PEER_BATCH + 3];
  uint8_t live[PEER_BATCH];
  uint32_t n = 0;
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t slot = first + i;
    if (!(flags[slot] & IS_IPV4)) { outcomes[i] = NOT_IPV4; continue; }
    const uint8_t *ip = slots + (size_t)slot * SLOT_SIZE + l3[slot];
    if (ip[8] <= 1) { outcomes[i] = TTL_EXPIRED; continue; }
    uint32_t destination;
    memcpy(&destination, ip + 16, 4);
    destinations[n] = __builtin_bswap32(destination);
    live[n++] = (uint8_t)i;
  }
  for (uint32_t k = n; k % 4 != 0; k++) destinations[k] = 0;
  for (uint32_t k = 0; k < n; k += 4) {
    rte_lpm_lookupx4(lpm, _mm_load_si128((const __m128i *)(destinations + k)), hops + k, 0);
  }
  for (uint32_t k = 0; k < n; k++) {
    const uint32_t i = live[k], slot = first + i, hop = hops[k];
    if (hop == 0) { outcomes[i] = NO_ROUTE; continue; }
    uint8_t *frame = slots + (size_t)slot * SLOT_SIZE + DATA_OFFSET;
    uint8_t *ip = slots + (size_t)slot * SLOT_SIZE + l3[slot];
    memcpy(frame, rewrites[hop].macs, 12);
    port_out[slot] = rewrites[hop].port;
    ip[8]--;
    /* RFC 1624 equation 3, in little-endian words: ~m + m' = 0xfffe. */
    uint16_t checksum;
    memcpy(&checksum, ip + 10, 2);
    const uint32_t sum = (uint16_t)~checksum + 0xfffeu;
    checksum = (uint16_t)~(sum + (sum >> 16));
    memcpy(ip + 10, &checksum, 2);
    outcomes[i] = FORWARD;
  }
}

/* Where IPv4 begins, VLAN tags skipped: untimed, as the gate's work is on the other side. */
static void classify(void) {
  frame_l3 = calloc(frame_count, sizeof *frame_l3);
  frame_flags = calloc(frame_count, sizeof *frame_flags);
  for (uint32_t i = 0; i < frame_count; i++) {
    uint32_t at = 12;
    uint32_t type = 0;
    while (at + 2 <= frame_lengths[i]) {
      type = (uint32_t)frames[i][at] << 8 | frames[i][at + 1];
      if (type != 0x8100 && type != 0x88a8 && type != 0x9100) break;
      at += 4;
    }
    if (type != 0x0800) continue;
    frame_l3[i] = (uint16_t)(DATA_OFFSET + at + 2);
    frame_flags[i] = IS_IPV4;
  }
}

/*
 * rte_lpm_add looks for a rule by going through all of its length, so a million of them take minutes. The tables are therefore
 * filled here, in rte_lpm's own documented layout; with prefixes in ascending length no rule is ever needed again. What is
 * timed, rte_lpm_lookupx4, is DPDK's. Afterwards some hundred prefixes are looked up through rte_lpm_lookup as a check.
 */
static void add(uint32_t address, uint32_t length, uint32_t hop) {
  static uint32_t groups;
  struct rte_lpm_tbl_entry entry = { .next_hop = hop, .valid = 1, .valid_group = 0, .depth = length };
  if (length <= 24) {
    for (uint32_t i = 0; i < 1u << (24 - length); i++) lpm->tbl24[(address >> 8) + i] = entry;
    return;
  }
  struct rte_lpm_tbl_entry *group = &lpm->tbl24[address >> 8];
  if (!group->valid || !group->valid_group) {
    if (groups == MAX_TBL8) fail("too many prefixes longer than /24", "");
    struct rte_lpm_tbl_entry before = *group;
    before.valid_group = 1;
    for (uint32_t i = 0; i < 256; i++) lpm->tbl8[groups * 256 + i] = before;
    *group = (struct rte_lpm_tbl_entry){ .next_hop = groups++, .valid = 1, .valid_group = 1, .depth = 0 };
  }
  entry.valid_group = 1;
  for (uint32_t i = 0; i < 1u << (32 - length); i++) lpm->tbl8[group->next_hop * 256 + (address & 0xff) + i] = entry;
}

/* --no-huge gives small pages; transparent huge ones, as the other side asks for, save a tenth of the lookup's time. */
static void move_to_huge_pages(void) {
  const size_t huge = 2u << 20, size = (sizeof *lpm + huge - 1) / huge * huge;
  uint8_t *memory = mmap(NULL, size + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail("mmap", "rte_lpm");
  memory = (uint8_t *)(((uintptr_t)memory + huge - 1) / huge * huge);
  madvise(memory, size, MADV_HUGEPAGE);
  memcpy(memory, lpm, sizeof *lpm);
  lpm = (struct rte_lpm *)memory;
}

static void load_routes(const char *path) {
  FILE *file = fopen(path, "r");
  if (!file) fail("cannot read routes", path);
  struct rte_lpm_config config = { .max_rules = 1024, .number_tbl8s = MAX_TBL8, .flags = 0 };
  lpm = rte_lpm_create("router", SOCKET_ID_ANY, &config);
  if (!lpm) fail("rte_lpm_create", "not enough memory");
  unsigned a, b, c, d, length, hop, line = 0, before = 0;
  while (fscanf(file, "%u.%u.%u.%u/%u %u", &a, &b, &c, &d, &length, &hop) == 6) {
    const uint32_t address = a << 24 | b << 16 | c << 8 | d;
    if (length < before || length > 32 || hop == 0 || hop >= MAX_HOPS) fail("bad route, or not in ascending length", path);
    before = length;
    add(address, length, hop);
    rewrites[hop] = (struct rewrite){ { 2, 0, 100, 64, (uint8_t)(hop >> 8), (uint8_t)hop, 2, 1, 0, 0, 0, 1 }, 1, { 0 } };
    uint32_t found;
    /* The prefixes written last are the longest, so nothing may hide them yet. */
    if (line++ % 1000 == 0 && (rte_lpm_lookup(lpm, address, &found) != 0 || found != hop)) fail("lookup disagrees", path);
  }
  move_to_huge_pages();
  if (!feof(file) || line == 0) fail("bad line in routes", path);
  fclose(file);
}

/* EAL pins its main thread to one processor; it is freed again, so that the scheduler treats both sides alike. */
static void init_eal(char *program) {
  cpu_set_t allowed;
  char lcores[32];
  int cpu = 0;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) fail("sched_getaffinity", "failed");
  while (!CPU_ISSET(cpu, &allowed)) cpu++;
  snprintf(lcores, sizeof lcores, "0@%d", cpu);
  char *arguments[] = { program, "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry", "--log-level=error", "-m", "256", "--lcores", lcores, NULL };
  if (rte_eal_init(10, arguments) < 0) fail("rte_eal_init", "failed");
  sched_setaffinity(0, sizeof allowed, &allowed);
}

int main(int argc, char **argv) {
  if (argc != 3) fail("usage", "router FRAMES_FILE ROUTES_FILE");
  init_eal(argv[0]);
  load_frames(argv[1]);
  classify();
  load_routes(argv[2]);
  serve(rte_version(), arrive, process);
  return 0;
}
