/* The sender: UDP frames with a number and the time they were sent at (CLOCK_MONOTONIC). */
#ifndef LIVE_SEND_H
#define LIVE_SEND_H
#include "live-packet.h"

/* Behind Ethernet, IPv4 and UDP headers, in native byte order. */
struct stamp {
  uint32_t magic;
  uint64_t number;
  int64_t ns;
} __attribute__((packed));
#define MAGIC 0x54414557u
#define STAMP_AT 42
#define MOST_FLOWS 65536u

static void write_flow(uint8_t *frame, uint32_t flow, uint32_t bytes) {
  const uint8_t ethernet[] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0};
  const uint16_t total = (uint16_t)(bytes - 14), sport = (uint16_t)(40000 + flow % 20000);
  const uint8_t ip[] = {0x45, 0, (uint8_t)(total >> 8), (uint8_t)total, 0, 0, 0x40, 0, 64, 17, 0, 0,
                        10, 3, (uint8_t)(flow >> 8), (uint8_t)flow, 10, 1, (uint8_t)(flow >> 8), (uint8_t)flow};
  const uint8_t udp[] = {(uint8_t)(sport >> 8), (uint8_t)sport, 0x9c, 0x40, (uint8_t)((total - 20) >> 8), (uint8_t)(total - 20), 0, 0};
  memcpy(frame, ethernet, sizeof ethernet);
  memcpy(frame + 14, ip, sizeof ip);
  memcpy(frame + 34, udp, sizeof udp);
  uint32_t sum = 0;
  for (int i = 0; i < 20; i += 2) sum += (uint32_t)frame[14 + i] << 8 | frame[15 + i];
  sum = (sum & 0xffff) + (sum >> 16);
  sum = ~((sum & 0xffff) + (sum >> 16));
  frame[24] = (uint8_t)(sum >> 8);
  frame[25] = (uint8_t)sum;
}

static int send_frames(char **args) {
  const char *name = args[0];
  const uint32_t bytes = (uint32_t)atoi(args[1]), flows = (uint32_t)atoi(args[2]);
  const double rate = atof(args[3]), seconds = atof(args[5]);
  const uint64_t most = strtoull(args[4], NULL, 10);
  if (bytes < STAMP_AT + sizeof(struct stamp) || bytes > MAX_FRAME || flows < 1 || flows > MOST_FLOWS || rate < 0) {
    fprintf(stderr, "BYTES is %zu to %u, FLOWS 1 to %u\n", STAMP_AT + sizeof(struct stamp), MAX_FRAME, MOST_FLOWS);
    return 2;
  }
  const int fd = packet_socket(name, 0, NULL);
  uint8_t(*headers)[STAMP_AT] = calloc(flows, STAMP_AT);
  for (uint32_t flow = 0; flow < flows; flow++) write_flow(headers[flow], flow, bytes);
  static uint8_t frames[BATCH][SLOT_SIZE];
  struct mmsghdr messages[BATCH] = {0};
  struct iovec vectors[BATCH];
  for (int i = 0; i < BATCH; i++) {
    memset(frames[i], 'x', SLOT_SIZE);
    vectors[i] = (struct iovec){frames[i], bytes};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
  }
  uint64_t sent = 0, refused = 0;
  int64_t latest = 0;
  ready();
  const int64_t start = clock_ns(CLOCK_MONOTONIC);
  int64_t now = start;
  for (; !stop && (most == 0 || sent < most); now = clock_ns(CLOCK_MONOTONIC)) {
    if (seconds > 0 && now - start >= seconds * 1e9) break;
    uint64_t some = BATCH;
    if (rate > 0) {
      const double due = (double)(now - start) * rate / 1e9 + 1 - (double)sent;
      if (due < 1) continue;
      const int64_t late = now - start - (int64_t)((double)sent * 1e9 / rate);
      if (late > latest) latest = late;
      if (due < BATCH) some = (uint64_t)due;
    }
    if (most > 0 && most - sent < some) some = most - sent;
    const int64_t stamped = clock_ns(CLOCK_MONOTONIC);
    for (uint64_t i = 0; i < some; i++) {
      memcpy(frames[i], headers[(sent + i) % flows], STAMP_AT);
      const struct stamp stamp = {MAGIC, sent + i, stamped};
      memcpy(frames[i] + STAMP_AT, &stamp, sizeof stamp);
    }
    /* Frames that a full queue refuses are sent again: they are not lost. */
    const int accepted = sendmmsg(fd, messages, (unsigned)some, MSG_DONTWAIT);
    if (accepted > 0) sent += (uint64_t)accepted;
    else if (errno == ENOBUFS || errno == EAGAIN) refused++;
    else fail(name);
  }
  printf("{\"sent\":%llu,\"refused\":%llu,\"seconds\":%.6f,\"latest_us\":%.1f}\n", (unsigned long long)sent,
         (unsigned long long)refused, (double)(now - start) / 1e9, (double)latest / 1e3);
  return 0;
}

#endif
