/*
 * mark, for tests of devices: adds the table's first word to each byte of PLACE; params[0] gets the sum of the bytes as they were,
 * params[1] counts how often the packet has been served. Waits for ever at a packet whose params[2] is 0xdead.
 */
#define NF_MARK_LOCAL_WORDS 2

static void nf_mark_init(__local uint *local_words, uint thread, uint threads) {
  if (thread == 0) {
    local_words[0] = 7u;
    local_words[1] = 11u;
  }
}

static void nf_mark(__global uchar *slot, __global uint *params, __global const uint *table, __local const uint *local_words) {
  const uint first = params[WB_PARAM_PLACE] & 0xffffu;
  const uint bytes = params[WB_PARAM_PLACE] >> 16;
  uint sum = 0;
  while (((volatile __global uint *)params)[2] == 0xdeadu) {}
  for (uint i = 0; i < bytes; i++) {
    sum += slot[first + i];
    slot[first + i] = (uchar)(slot[first + i] + table[0]);
  }
  params[0] = sum;
  params[1] += 1u;
  /* Local memory is the NF's own: not filled, or another's, and this shows. */
  params[3] = local_words[0] * 256u + local_words[1];
}
