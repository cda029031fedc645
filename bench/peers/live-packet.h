/* AF_PACKET, as runtime/nic/packet does it: a TPACKET_V3 ring or recvmmsg in, sendmmsg past the queueing discipline out. */
#ifndef LIVE_PACKET_H
#define LIVE_PACKET_H
#include "live.h"

#define BLOCK_BYTES (1u << 18)
#define BLOCKS 64u
#define RETIRE_MS 1
#define BUFFER_BYTES (32 << 20)

struct blocks {
  int fd;
  uint8_t *memory;
  uint32_t block, left;
  struct tpacket3_hdr *next;
};

static int packet_socket(const char *name, int receives, const struct tpacket_req3 *ring) {
  const int fd = socket(AF_PACKET, SOCK_RAW, 0), one = 1, version = TPACKET_V3, bytes = BUFFER_BYTES;
  if (fd < 0) fail("AF_PACKET socket");
  if (ring && (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) ||
               setsockopt(fd, SOL_PACKET, PACKET_RX_RING, ring, sizeof *ring)))
    fail("TPACKET_V3 ring");
  const struct sockaddr_ll address = {
      .sll_family = AF_PACKET, .sll_protocol = receives ? htons(ETH_P_ALL) : 0, .sll_ifindex = (int)index_of(name)};
  if (receives) {
    const struct packet_mreq promiscuous = {.mr_ifindex = address.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
    setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof one);
    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous);
  } else {
    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
  }
  setsockopt(fd, SOL_SOCKET, receives ? SO_RCVBUFFORCE : SO_SNDBUFFORCE, &bytes, sizeof bytes);
  if (bind(fd, (const struct sockaddr *)&address, sizeof address)) fail("bind of an AF_PACKET socket");
  return fd;
}

static void open_blocks(struct blocks *blocks, const char *name) {
  const struct tpacket_req3 request = {.tp_block_size = BLOCK_BYTES, .tp_block_nr = BLOCKS, .tp_frame_size = 2048,
                                       .tp_frame_nr = BLOCK_BYTES / 2048 * BLOCKS, .tp_retire_blk_tov = RETIRE_MS};
  blocks->fd = packet_socket(name, 1, &request);
  blocks->memory =
      mmap(NULL, (size_t)BLOCK_BYTES * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, blocks->fd, 0);
  if (blocks->memory == MAP_FAILED) fail("mmap of a TPACKET_V3 ring");
}

static struct tpacket_hdr_v1 *header_of(const struct blocks *blocks) {
  return &((struct tpacket_block_desc *)(blocks->memory + (size_t)blocks->block * BLOCK_BYTES))->hdr.bh1;
}

/* The next frame, or NULL; `taken` must follow each. */
static struct tpacket3_hdr *next_frame(struct blocks *blocks) {
  while (blocks->left == 0) {
    struct tpacket_hdr_v1 *header = header_of(blocks);
    if (!(__atomic_load_n(&header->block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) return NULL;
    blocks->left = header->num_pkts;
    blocks->next = (struct tpacket3_hdr *)(blocks->memory + (size_t)blocks->block * BLOCK_BYTES + header->offset_to_first_pkt);
    if (blocks->left > 0) break;
    __atomic_store_n(&header->block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    blocks->block = (blocks->block + 1) % BLOCKS;
  }
  return blocks->next;
}

static void taken(struct blocks *blocks) {
  blocks->next = (struct tpacket3_hdr *)((uint8_t *)blocks->next + blocks->next->tp_next_offset);
  if (--blocks->left > 0) return;
  __atomic_store_n(&header_of(blocks)->block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
  blocks->block = (blocks->block + 1) % BLOCKS;
}

static struct blocks packet_in;
static uint32_t packet_receive(uint32_t *burst, uint32_t want) {
  uint32_t done = 0;
  for (struct tpacket3_hdr *frame; done < want && (frame = next_frame(&packet_in)); taken(&packet_in)) {
    const uint32_t slot = burst[done++], bytes = frame->tp_snaplen > MAX_FRAME ? MAX_FRAME : frame->tp_snaplen;
    memcpy(slots + ((size_t)slot << SLOT_SHIFT) + OFFSET, (uint8_t *)frame + frame->tp_mac, bytes);
    off[slot] = OFFSET;
    len[slot] = (uint16_t)bytes;
  }
  return done;
}

static struct mmsghdr in_messages[MAX_BATCH], out_messages[MAX_BATCH];
static struct iovec in_vectors[MAX_BATCH], out_vectors[MAX_BATCH];
static uint8_t controls[MAX_BATCH][CMSG_SPACE(sizeof(struct tpacket_auxdata))] __attribute__((aligned(8)));
static uint32_t per_call;
static int mmsg_in, packet_out;

static uint32_t mmsg_receive(uint32_t *burst, uint32_t want) {
  if (want > per_call) want = per_call;
  for (uint32_t i = 0; i < want; i++) {
    in_vectors[i] = (struct iovec){slots + ((size_t)burst[i] << SLOT_SHIFT) + OFFSET, MAX_FRAME};
    in_messages[i].msg_hdr.msg_controllen = sizeof controls[i];
  }
  const int some = recvmmsg(mmsg_in, in_messages, want, MSG_TRUNC | MSG_DONTWAIT, NULL);
  for (int i = 0; i < some; i++) {
    off[burst[i]] = OFFSET;
    len[burst[i]] = (uint16_t)in_messages[i].msg_len;
  }
  return some < 0 ? 0 : (uint32_t)some;
}

static void packet_transmit(const uint32_t *burst, uint32_t count) {
  for (uint32_t from = 0; from < count; from += per_call) {
    const uint32_t some = count - from < per_call ? count - from : per_call;
    for (uint32_t i = 0; i < some; i++) {
      const uint32_t slot = burst[from + i];
      out_vectors[i] = (struct iovec){slots + ((size_t)slot << SLOT_SHIFT) + off[slot], len[slot]};
    }
    for (uint32_t sent = 0; sent < some;) {
      const int now = sendmmsg(packet_out, out_messages + sent, some - sent, MSG_DONTWAIT);
      if (now <= 0) not_sent++;
      sent += now > 0 ? (uint32_t)now : 1;
    }
  }
}

static struct driver open_packet(const char *in, const char *out, int blocks, uint32_t messages) {
  per_call = messages;
  for (int i = 0; i < MAX_BATCH; i++) {
    in_messages[i].msg_hdr = (struct msghdr){.msg_iov = &in_vectors[i], .msg_iovlen = 1, .msg_control = controls[i]};
    out_messages[i].msg_hdr = (struct msghdr){.msg_iov = &out_vectors[i], .msg_iovlen = 1};
  }
  packet_out = packet_socket(out, 0, NULL);
  if (blocks) open_blocks(&packet_in, in);
  else mmsg_in = packet_socket(in, 1, NULL);
  return (struct driver){blocks ? packet_in.fd : mmsg_in, 0, blocks ? packet_receive : mmsg_receive, packet_transmit, NULL};
}

#endif
