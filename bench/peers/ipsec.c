/*
 * C peer of the ipsec NF: ESP tunnel outbound, AES-128-CBC + HMAC-SHA1-96, on intel-ipsec-mb bursts.
 *
 *   ipsec FRAMES_FILE SA_FILE [MODE]
 *
 * FRAMES_FILE: u32 count, then per frame u32 length and bytes (Ethernet, untagged IPv4), little-endian.
 * SA_FILE: u32 count, u32 mask, then per SA u32 selector (inner destination & mask), u32 spi, u32 src, u32 dst, 16 bytes cipher key,
 * 20 bytes authentication key; numbers little-endian values. See peerSaFile in ipsec.ts.
 * MODE: "burst" (cipher burst, then hash burst; default) or "job" (chained jobs of the burst API).
 *
 * Prints "ready ..." and, for each line "go" on stdin, one line with nanoseconds per packet. Frames are restored outside the timed
 * part. Build: gcc -O3 -march=native ipsec.c -o ipsec -lIPSec_MB
 */
#include <intel-ipsec-mb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>

enum { SLOT = 2048, DATA = 256, BATCH = 64, CHUNK = 1024, TUNNEL = 44, ICV = 12, POOL = 65536 };
#define TARGET_NS 60000000ull

struct sa {
  uint32_t enc[44] __attribute__((aligned(16)));
  uint32_t inner[5], outer[5];
  uint32_t spi, src, dst, seq, header_sum;
  uint64_t packets, bytes;
} __attribute__((aligned(64)));

struct packet {
  uint8_t *base;
  uint16_t off, len;
};

static struct sa *sas;
static uint32_t sa_count, selector_mask;
static struct { uint32_t key, sa; } *table;
static uint32_t table_mask;
static uint8_t pool[POOL];
static uint32_t pool_used = POOL;
static IMB_MGR *mgr;
static IMB_JOB jobs[BATCH];
static int chained;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static uint8_t *read_file(const char *path, size_t *size) {
  FILE *f = fopen(path, "rb");
  if (!f) die(path);
  fseek(f, 0, SEEK_END);
  *size = (size_t)ftell(f);
  rewind(f);
  uint8_t *bytes = malloc(*size + 1);
  if (!bytes || fread(bytes, 1, *size, f) != *size) die(path);
  fclose(f);
  return bytes;
}

static inline uint32_t hash(uint32_t key) { return (key * 0x9e3779b1u) >> 7; }

static inline struct sa *find_sa(uint32_t dst) {
  const uint32_t key = dst & selector_mask;
  for (uint32_t at = hash(key) & table_mask; table[at].sa; at = (at + 1) & table_mask)
    if (table[at].key == key) return &sas[table[at].sa - 1];
  return NULL;
}

static void load_sas(const char *path) {
  size_t size;
  uint8_t *bytes = read_file(path, &size);
  memcpy(&sa_count, bytes, 4);
  memcpy(&selector_mask, bytes + 4, 4);
  sas = aligned_alloc(64, sa_count * sizeof *sas);
  memset(sas, 0, sa_count * sizeof *sas);
  table_mask = 15;
  while (table_mask < 2 * sa_count) table_mask = table_mask * 2 + 1;
  table = calloc(table_mask + 1, sizeof *table);
  const uint8_t *p = bytes + 8;
  for (uint32_t i = 0; i < sa_count; i++, p += 52) {
    struct sa *sa = &sas[i];
    uint32_t fields[4], decrypt[44] __attribute__((aligned(16)));
    uint8_t block[64];
    memcpy(fields, p, 16);
    sa->spi = fields[1], sa->src = fields[2], sa->dst = fields[3], sa->seq = 1;
    sa->header_sum = 0x4500 + ((64 << 8) | 50) + (sa->src >> 16) + (sa->src & 0xffff) + (sa->dst >> 16) + (sa->dst & 0xffff);
    IMB_AES_KEYEXP_128(mgr, p + 16, sa->enc, decrypt);
    for (int pad = 0; pad < 2; pad++) {
      memset(block, pad ? 0x5c : 0x36, 64);
      for (int k = 0; k < 20; k++) block[k] ^= p[32 + k];
      IMB_SHA1_ONE_BLOCK(mgr, block, pad ? sa->outer : sa->inner);
    }
    uint32_t at = hash(fields[0]) & table_mask;
    while (table[at].sa) at = (at + 1) & table_mask;
    table[at].key = fields[0], table[at].sa = i + 1;
  }
  free(bytes);
}

static inline void put32(uint8_t *p, uint32_t v) {
  v = __builtin_bswap32(v);
  memcpy(p, &v, 4);
}
static inline uint32_t get32(const uint8_t *p) {
  uint32_t v;
  memcpy(&v, p, 4);
  return __builtin_bswap32(v);
}
static inline uint32_t get16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }

/* Everything but the cryptography, and the job for it. Returns 0 where no SA selects the packet. */
static inline int encapsulate(struct packet *pkt, IMB_JOB *job) {
  uint8_t *frame = pkt->base + pkt->off;
  uint8_t *inner = frame + 14;
  const uint32_t bytes = get16(inner + 2);
  const uint32_t cipher = (bytes + 2 + 15) & ~15u;
  const uint32_t outer_bytes = TUNNEL + cipher + ICV;
  struct sa *sa = find_sa(get32(inner + 16));
  if (!sa || pkt->off < TUNNEL || pkt->off + 14 + cipher + ICV > SLOT) return 0;
  const uint32_t seq = sa->seq++;
  sa->packets++, sa->bytes += bytes;

  const uint32_t pad = cipher - 2 - bytes;
  for (uint32_t k = 0, w = 0x01020304; k < pad; k += 4, w += 0x04040404) put32(inner + bytes + k, w);
  inner[bytes + pad] = (uint8_t)pad, inner[bytes + pad + 1] = 4;

  const uint32_t tos = inner[1], df = get16(inner + 6) & 0x4000, id = seq & 0xffff;
  uint32_t sum = sa->header_sum + tos + outer_bytes + id + df;
  sum = (sum & 0xffff) + (sum >> 16);
  sum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
  memmove(frame - TUNNEL, frame, 12);
  uint8_t *outer = inner - TUNNEL, *esp = outer + 20;
  outer[-2] = 8, outer[-1] = 0;
  put32(outer, 0x45000000 | tos << 16 | outer_bytes);
  put32(outer + 4, id << 16 | df);
  put32(outer + 8, 64u << 24 | 50 << 16 | sum);
  put32(outer + 12, sa->src);
  put32(outer + 16, sa->dst);
  put32(esp, sa->spi);
  put32(esp + 4, seq);
  if (pool_used == POOL) {
    for (uint32_t got = 0; got < POOL;) {
      ssize_t n = getrandom(pool + got, POOL - got, 0);
      if (n < 0) die("getrandom");
      got += (uint32_t)n;
    }
    pool_used = 0;
  }
  memcpy(esp + 8, pool + pool_used, 16);
  pool_used += 16;
  pkt->off -= TUNNEL;
  pkt->len = (uint16_t)(14 + outer_bytes);

  job->enc_keys = sa->enc;
  job->key_len_in_bytes = 16;
  job->src = esp;
  job->dst = esp + 24;
  job->cipher_start_src_offset_in_bytes = 24;
  job->msg_len_to_cipher_in_bytes = cipher;
  job->hash_start_src_offset_in_bytes = 0;
  job->msg_len_to_hash_in_bytes = 24 + cipher;
  job->iv = esp + 8;
  job->iv_len_in_bytes = 16;
  job->auth_tag_output = esp + 24 + cipher;
  job->auth_tag_output_len_in_bytes = ICV;
  job->u.HMAC._hashed_auth_key_xor_ipad = (const uint8_t *)sa->inner;
  job->u.HMAC._hashed_auth_key_xor_opad = (const uint8_t *)sa->outer;
  job->cipher_mode = IMB_CIPHER_CBC;
  job->cipher_direction = IMB_DIR_ENCRYPT;
  job->hash_alg = IMB_AUTH_HMAC_SHA_1;
  job->chain_order = IMB_ORDER_CIPHER_HASH;
  return 1;
}

static void process(struct packet *packets, uint32_t count) {
  uint32_t n = 0;
  if (chained) {
    IMB_JOB *burst[BATCH];
    if (IMB_GET_NEXT_BURST(mgr, count, burst) < count) die("burst queue");
    for (uint32_t i = 0; i < count; i++) n += (uint32_t)encapsulate(&packets[i], burst[n]);
    uint32_t done = IMB_SUBMIT_BURST_NOCHECK(mgr, n, burst);
    while (done < n) done += IMB_FLUSH_BURST(mgr, n - done, burst);
    return;
  }
  for (uint32_t i = 0; i < count; i++) n += (uint32_t)encapsulate(&packets[i], &jobs[n]);
  if (IMB_SUBMIT_CIPHER_BURST_NOCHECK(mgr, jobs, n, IMB_CIPHER_CBC, IMB_DIR_ENCRYPT, IMB_KEY_128_BYTES) != n ||
      IMB_SUBMIT_HASH_BURST_NOCHECK(mgr, jobs, n, IMB_AUTH_HMAC_SHA_1) != n)
    die("burst");
}

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: %s FRAMES_FILE SA_FILE [burst|job]\n", argv[0]);
    return 2;
  }
  chained = argc > 3 && strcmp(argv[3], "job") == 0;
  mgr = alloc_mb_mgr(0);
  if (!mgr) die("alloc_mb_mgr");
  init_mb_mgr_auto(mgr, NULL);
  load_sas(argv[2]);

  size_t size;
  uint8_t *bytes = read_file(argv[1], &size);
  uint32_t count;
  memcpy(&count, bytes, 4);
  const uint8_t **frames = malloc(count * sizeof *frames);
  uint32_t *lengths = malloc(count * sizeof *lengths);
  const uint8_t *p = bytes + 4;
  for (uint32_t i = 0; i < count; i++) {
    memcpy(&lengths[i], p, 4);
    frames[i] = p + 4;
    p += 4 + lengths[i];
  }
  const uint32_t chunk = count < CHUNK ? count : CHUNK;
  uint8_t *slots = mmap(NULL, (size_t)CHUNK * SLOT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (slots == MAP_FAILED) die("mmap");
  madvise(slots, (size_t)CHUNK * SLOT, MADV_HUGEPAGE);
  struct packet *packets = calloc(CHUNK, sizeof *packets);

  printf("ready intel-ipsec-mb %s (%s)\n", imb_get_version_str(), chained ? "chained jobs" : "cipher burst, hash burst");
  fflush(stdout);
  char line[64];
  uint32_t next = 0;
  while (fgets(line, sizeof line, stdin)) {
    if (strncmp(line, "go", 2) != 0) continue;
    uint64_t spent = 0, done = 0;
    while (spent < TARGET_NS) {
      for (uint32_t i = 0; i < chunk; i++, next = next + 1 == count ? 0 : next + 1) {
        packets[i] = (struct packet){slots + (size_t)i * SLOT, DATA, (uint16_t)lengths[next]};
        memcpy(packets[i].base + DATA, frames[next], lengths[next]);
      }
      const uint64_t from = now();
      for (uint32_t i = 0; i < chunk; i += BATCH) process(packets + i, chunk - i < BATCH ? chunk - i : BATCH);
      spent += now() - from;
      done += chunk;
    }
    printf("%.3f\n", (double)spent / (double)done);
    fflush(stdout);
  }
  return 0;
}
