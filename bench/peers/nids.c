/*
 * The search of the nids NF as a C programmer would write it on Hyperscan: the yardstick of bench/.
 *
 *   nids FRAMES PATTERNS      (cc -O3 -march=native nids.c -o nids -lhs)
 *
 * FRAMES: little-endian u32 count, then per frame u32 length and its bytes (Ethernet). PATTERNS: u32 count, then per pattern
 * u8 nocase, u32 length and its bytes. Frames lie in 2048-byte slots at offset 256, as in wingbeat's arena; what is scanned is the
 * frame behind 42 bytes of Ethernet, IPv4 and UDP header, one hs_scan in block mode per packet.
 *
 * Two ways to scan are tried once and the faster one is kept: the match handler counts every match and scans on, or it ends the
 * scan at the first, which is all that the first pass of a rule engine needs. Prints "ready <library, version, way>", then for
 * every line "go" on stdin one line of nanoseconds per packet over at least 60 ms. Frames are not changed, so nothing is restored.
 */
#define _GNU_SOURCE
#include <hs/hs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { SLOT = 2048, OFFSET = 256, HEADERS = 42, BATCH = 64, MIN_NS = 60000000, HUGE_PAGE = 2 << 20 };

static void fail(const char *what, const char *detail) {
  fprintf(stderr, "nids: %s: %s\n", what, detail);
  exit(1);
}

static uint8_t *read_file(const char *name, size_t *size) {
  FILE *file = fopen(name, "rb");
  if (!file) fail(name, "cannot be opened");
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  uint8_t *bytes = malloc(*size + 1);
  if (!bytes || fread(bytes, 1, *size, file) != *size) fail(name, "cannot be read");
  fclose(file);
  return bytes;
}

static uint32_t u32_at(const uint8_t *bytes) {
  uint32_t value;
  memcpy(&value, bytes, 4);
  return value;
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int count_all(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *context) {
  (void)id, (void)from, (void)to, (void)flags;
  ++*(uint64_t *)context;
  return 0;
}

static int stop_at_first(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *context) {
  (void)id, (void)from, (void)to, (void)flags;
  ++*(uint64_t *)context;
  return 1;
}

static hs_database_t *compile(const char *name) {
  size_t size;
  const uint8_t *bytes = read_file(name, &size);
  uint32_t n = size < 4 ? 0 : u32_at(bytes);
  if (n == 0) fail(name, "holds no patterns");
  const char **expressions = calloc(n, sizeof *expressions);
  size_t *lengths = calloc(n, sizeof *lengths);
  unsigned *flags = calloc(n, sizeof *flags);
  unsigned *ids = calloc(n, sizeof *ids);
  size_t at = 4;
  for (uint32_t i = 0; i < n; i++) {
    if (at + 5 > size || at + 5 + u32_at(bytes + at + 1) > size) fail(name, "ends within a pattern");
    flags[i] = bytes[at] ? HS_FLAG_CASELESS : 0;
    lengths[i] = u32_at(bytes + at + 1);
    ids[i] = i + 1;
    expressions[i] = (const char *)bytes + at + 5;
    at += 5 + lengths[i];
  }
  hs_database_t *db;
  hs_compile_error_t *error;
  if (hs_compile_lit_multi(expressions, flags, ids, lengths, n, HS_MODE_BLOCK, NULL, &db, &error) != HS_SUCCESS) {
    fail(name, error->message);
  }
  return db;
}

static uint8_t *slots;
static uint32_t *lengths;
static uint32_t frames;
static hs_database_t *db;
static hs_scratch_t *scratch;
static uint64_t matches;

static double measure(match_event_handler handler, uint64_t min_ns) {
  uint64_t packets = 0, ns = 0;
  for (uint32_t first = 0; ns < min_ns;) {
    /* A clock reading every 1024 frames: small beside what they cost. */
    uint64_t begin = now_ns();
    for (int batches = 0; batches < 16; batches++) {
      uint32_t last = first + BATCH < frames ? first + BATCH : frames;
      for (uint32_t i = first; i < last; i++) {
        if (lengths[i] <= HEADERS) continue;
        const char *payload = (const char *)slots + (size_t)i * SLOT + OFFSET + HEADERS;
        hs_error_t status = hs_scan(db, payload, lengths[i] - HEADERS, 0, scratch, handler, &matches);
        if (status != HS_SUCCESS && status != HS_SCAN_TERMINATED) fail("hs_scan", "failed");
      }
      packets += last - first;
      first = last == frames ? 0 : last;
    }
    ns += now_ns() - begin;
  }
  return (double)ns / (double)packets;
}

int main(int argc, char **argv) {
  if (argc != 3) fail("usage", "nids FRAMES PATTERNS");
  size_t size;
  const uint8_t *file = read_file(argv[1], &size);
  frames = size < 4 ? 0 : u32_at(file);
  if (frames == 0) fail(argv[1], "holds no frames");
  /* Mapped as wingbeat maps its arena: whole huge pages where the system gives them. */
  size_t bytes = ((size_t)frames * SLOT + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
  slots = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
  if (slots == MAP_FAILED) {
    slots = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (slots == MAP_FAILED) fail("mmap", "no memory for the frames");
    madvise(slots, bytes, MADV_HUGEPAGE);
  }
  lengths = calloc(frames, sizeof *lengths);
  size_t at = 4;
  for (uint32_t i = 0; i < frames; i++) {
    if (at + 4 > size || at + 4 + u32_at(file + at) > size) fail(argv[1], "ends within a frame");
    lengths[i] = u32_at(file + at);
    if (lengths[i] > SLOT - OFFSET) fail(argv[1], "holds a frame longer than a slot");
    memcpy(slots + (size_t)i * SLOT + OFFSET, file + at + 4, lengths[i]);
    at += 4 + lengths[i];
  }
  db = compile(argv[2]);
  if (hs_alloc_scratch(db, &scratch) != HS_SUCCESS) fail("hs_alloc_scratch", "failed");

  measure(count_all, MIN_NS); /* warm-up */
  match_event_handler best = measure(stop_at_first, MIN_NS) < measure(count_all, MIN_NS) ? stop_at_first : count_all;
  printf("ready hyperscan %s, hs_scan per packet, %s\n", hs_version(),
         best == count_all ? "every match counted" : "stopped at the first match");
  fflush(stdout);

  char line[64];
  while (fgets(line, sizeof line, stdin)) {
    if (strncmp(line, "go", 2) != 0) continue;
    printf("%.2f\n", measure(best, MIN_NS));
    fflush(stdout);
  }
  return 0;
}
