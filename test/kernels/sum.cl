/* sum, for tests of devices: writes params only. params[0] gets the sum of the bytes of PLACE, plus the table's second word. */
#define NF_SUM_LOCAL_WORDS 1

static void nf_sum_init(__local uint *local_words, uint thread, uint threads) {
  if (thread == threads - 1) local_words[0] = 13u;
}

static void nf_sum(__global uchar *slot, __global uint *params, __global const uint *table, __local const uint *local_words) {
  const uint first = params[WB_PARAM_PLACE] & 0xffffu;
  const uint bytes = params[WB_PARAM_PLACE] >> 16;
  uint sum = table[1];
  for (uint i = 0; i < bytes; i++) sum += slot[first + i];
  params[0] = sum;
  params[1] += 1u;
  params[3] = local_words[0];
}
