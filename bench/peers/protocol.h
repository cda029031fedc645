/*
 * What every C peer of the benchmark does alike, so that it is measured exactly as the TypeScript side is (bench/subject.ts):
 *
 *   peer FRAMES_FILE [CONFIG...]
 *
 * FRAMES_FILE: little-endian u32 count, then for each frame u32 length and its bytes. A peer prints `ready <library version>`,
 * then for each line `go` on stdin one line with the nanoseconds per packet of one repeat, and ends at end of file.
 *
 * One repeat: rounds of PEER_SLOTS packets until PEER_TIMED_NS of timed work is done, and every frame was taken at least once.
 * In a round the next frames are copied into the slots (not timed), then processed in batches of PEER_BATCH (timed).
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define PEER_SLOTS 1024
#define PEER_BATCH 64
#define PEER_TIMED_NS 60000000ull
#define SLOT_SIZE 2048
#define DATA_OFFSET 256
#define MAX_FRAME (SLOT_SIZE - DATA_OFFSET - 32)

static uint32_t frame_count;
static uint8_t **frames;
static uint16_t *frame_lengths;
/* The slots, mapped as the arena is: transparent huge pages where the kernel gives them. */
static uint8_t *slots;

static void fail(const char *what, const char *which) {
  fprintf(stderr, "%s: %s\n", what, which);
  exit(1);
}

static void load_frames(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file || fread(&frame_count, 4, 1, file) != 1 || frame_count == 0) fail("cannot read frames", path);
  frames = calloc(frame_count, sizeof *frames);
  frame_lengths = calloc(frame_count, sizeof *frame_lengths);
  for (uint32_t i = 0; i < frame_count; i++) {
    uint32_t length;
    if (fread(&length, 4, 1, file) != 1 || length > MAX_FRAME) fail("bad frame length", path);
    frames[i] = malloc(length);
    frame_lengths[i] = (uint16_t)length;
    if (fread(frames[i], 1, length, file) != length) fail("frames file is cut off", path);
  }
  fclose(file);
  const size_t size = (size_t)PEER_SLOTS * SLOT_SIZE;
  slots = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (slots == MAP_FAILED) fail("mmap", "slots");
  madvise(slots, size, MADV_HUGEPAGE);
}

static uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

/* Copies `count` frames from number `first` on (cyclically) into the slots. `frame_of_slot` says which frame lies where. */
static uint32_t frame_of_slot[PEER_SLOTS];
static void restore(uint32_t first, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t frame = (first + i) % frame_count;
    frame_of_slot[i] = frame;
    memcpy(slots + (size_t)i * SLOT_SIZE + DATA_OFFSET, frames[frame], frame_lengths[frame]);
  }
}

/* `arrive(slot, frame)` sets a slot's metadata (not timed: the gate does this); `process(first, count)` handles one batch. */
static void serve(const char *library, void (*arrive)(uint32_t, uint32_t), void (*process)(uint32_t, uint32_t)) {
  char line[64];
  printf("ready %s\n", library);
  fflush(stdout);
  while (fgets(line, sizeof line, stdin)) {
    if (strncmp(line, "go", 2) != 0) continue;
    uint64_t timed = 0, packets = 0;
    while (timed < PEER_TIMED_NS || packets < frame_count) {
      restore((uint32_t)(packets % frame_count), PEER_SLOTS);
      for (uint32_t i = 0; i < PEER_SLOTS; i++) arrive(i, frame_of_slot[i]);
      const uint64_t start = now_ns();
      for (uint32_t first = 0; first < PEER_SLOTS; first += PEER_BATCH) process(first, PEER_BATCH);
      timed += now_ns() - start;
      packets += PEER_SLOTS;
    }
    printf("%.4f\n", (double)timed / (double)packets);
    fflush(stdout);
  }
}
