/*
 * nids: whether any pattern of the rules occurs in the packet's bytes at PARAM_PLACE. params[0] becomes 1 where one does, else 0. The CPU
 * finds out which, and judges the rules (nfs/nids/gpu.ts).
 *
 * Aho-Corasick (CACM 18(6), 1975) over the automaton of nfs/nids/gpu-tables.ts. It has one accepting state, which no byte leaves, so
 * whether it was reached may be asked now and then, and need not be after each byte.
 */

#define NF_NIDS_LOCAL_WORDS 0
#define NIDS_ACCEPT 0
#define NIDS_CLASSES 16
#define NIDS_TRANSITIONS 80

static void nf_nids_init(__local uint *local_words, uint thread, uint threads) {}

static void nf_nids(__global uchar *slot, __global uint *params, __global const uint *table, __local const uint *local_words) {
  const uint place = params[WB_PARAM_PLACE];
  __global const uchar *at = slot + (place & 0xffffu);
  __global const uchar *end = at + (place >> 16);
  const uint accept = table[NIDS_ACCEPT];
  __global const uchar *class_of = (__global const uchar *)(table + NIDS_CLASSES);
  __global const uint *transitions = table + NIDS_TRANSITIONS;
  uint state = 0;
  for (; at < end && state != accept; at++) state = transitions[state + class_of[*at]];
  params[0] = state == accept ? 1 : 0;
}
