/*
 * stamp, for experiments: writes params[1] to every word of PLACE. Who takes a packet before all of it is written finds words of the
 * stamp before.
 */
#define NF_STAMP_LOCAL_WORDS 0

static void nf_stamp_init(__local uint *local_words, uint thread, uint threads) {}

static void nf_stamp(__global uchar *slot, __global uint *params, __global const uint *table, __local const uint *local_words) {
  const uint place = params[WB_PARAM_PLACE];
  __global uint *words = (__global uint *)(slot + (place & 0xffffu));
  const uint count = place >> 18;
  for (uint i = 0; i < count; i++) words[i] = params[1];
}
