/*
 * nids: whether any pattern of the rules occurs in the packet's bytes at PARAM_PLACE: params[0] becomes 1 where one does, else 0. Which it
 * is the CPU finds out, and judges the rules (nfs/nids/gpu.ts).
 *
 * Aho-Corasick (CACM 18(6), 1975) over the tables of nfs/nids/gpu-tables.ts. No byte leaves the accepting state, so whether it was reached
 * is asked every 8 bytes and not after each.
 *
 * A walk is a chain of loads, each waiting for the one before. So a long packet is cut into NIDS_LANES pieces, walked side by side, each from
 * the root. What straddles a cut is found by the piece it begins in: its walk goes on beyond the cut until its state is no deeper than the
 * bytes since, that is, until all it is in the midst of has begun behind the cut; in most packets that is a byte or two.
 */

#define NF_NIDS_LOCAL_WORDS 0

#define NIDS_ACCEPT 0
#define NIDS_TRANSITIONS 1
#define NIDS_CLASSES 16
#define NIDS_DEPTHS 80

#define NIDS_LANES 4
/* Bytes of a packet from which cutting it pays. */
#define NIDS_CUT_FROM 64

#define NIDS_STEP(state, byte) transitions[(state) + class_of[byte]]

/* One byte of each piece. */
#define NIDS_STEPS(i)           \
  a = NIDS_STEP(a, in_a.i);     \
  b = NIDS_STEP(b, in_b.i);     \
  c = NIDS_STEP(c, in_c.i);     \
  d = NIDS_STEP(d, in_d.i);

/* Goes on with what a piece that ends at `cut` left unfinished. No state but the accepting one lies behind the last of depths. */
static inline uint nids_beyond(uint state, __global const uchar *slot, uint cut, uint end, __global const uint *table,
                               __global const uchar *class_of, __global const uint *transitions) {
  const uint accept = table[NIDS_ACCEPT];
  __global const uint *depths = table + NIDS_DEPTHS;
  for (uint at = cut; at < end && state != accept && state >= depths[at - cut + 1]; at++) {
    state = NIDS_STEP(state, slot[at]);
  }
  return state;
}

static void nf_nids_init(__local uint *local_words, uint thread, uint threads) {}

static void nf_nids(__global uchar *slot, __global uint *params, __global const uint *table, __local const uint *local_words) {
  const uint place = params[WB_PARAM_PLACE];
  const uint accept = table[NIDS_ACCEPT];
  __global const uint *transitions = table + table[NIDS_TRANSITIONS];
  __global const uchar *class_of = (__global const uchar *)(table + NIDS_CLASSES);
  uint at = place & 0xffffu;
  const uint end = at + (place >> 16);

  /* To the first whole word; slots are aligned. */
  uint state = 0;
  for (; at < end && (at & 7) != 0; at++) state = NIDS_STEP(state, slot[at]);

  if (end - at >= NIDS_CUT_FROM) {
    const uint words = (end - at) / (8 * NIDS_LANES); /* of a piece */
    __global const ulong *piece = (__global const ulong *)(slot + at);
    uint a = state, b = 0, c = 0, d = 0;
    for (uint w = 0; w < words; w++) {
      const uchar8 in_a = as_uchar8(piece[w]);
      const uchar8 in_b = as_uchar8(piece[w + words]);
      const uchar8 in_c = as_uchar8(piece[w + 2 * words]);
      const uchar8 in_d = as_uchar8(piece[w + 3 * words]);
      NIDS_STEPS(s0)
      NIDS_STEPS(s1)
      NIDS_STEPS(s2)
      NIDS_STEPS(s3)
      NIDS_STEPS(s4)
      NIDS_STEPS(s5)
      NIDS_STEPS(s6)
      NIDS_STEPS(s7)
      if (a == accept || b == accept || c == accept || d == accept) {
        params[0] = 1;
        return;
      }
    }
    const uint cut = at + 8 * words;
    if (nids_beyond(a, slot, cut, end, table, class_of, transitions) == accept ||
        nids_beyond(b, slot, cut + 8 * words, end, table, class_of, transitions) == accept ||
        nids_beyond(c, slot, cut + 16 * words, end, table, class_of, transitions) == accept) {
      params[0] = 1;
      return;
    }
    state = d;
    at += 8 * NIDS_LANES * words;
  }

  for (; at + 8 <= end && state != accept; at += 8) {
    const uchar8 in = as_uchar8(*(__global const ulong *)(slot + at));
    state = NIDS_STEP(state, in.s0);
    state = NIDS_STEP(state, in.s1);
    state = NIDS_STEP(state, in.s2);
    state = NIDS_STEP(state, in.s3);
    state = NIDS_STEP(state, in.s4);
    state = NIDS_STEP(state, in.s5);
    state = NIDS_STEP(state, in.s6);
    state = NIDS_STEP(state, in.s7);
  }
  for (; at < end; at++) state = NIDS_STEP(state, slot[at]);
  params[0] = state == accept ? 1 : 0;
}
