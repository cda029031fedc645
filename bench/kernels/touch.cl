/*
 * touch, for experiments: inverts every byte of PLACE, so that an NF's worth of reading and writing is done and a copying device has to
 * bring the packet back; params[0] counts how often the packet has been served.
 */
#define NF_TOUCH_LOCAL_WORDS 0

static void nf_touch_init(__local uint *local_words, uint thread, uint threads) {}

static void nf_touch(__global uchar *slot, __global uint *params, __global const uint *table, __local const uint *local_words) {
  const uint place = params[WB_PARAM_PLACE];
  __global uint *words = (__global uint *)(slot + (place & 0xffffu));
  const uint count = place >> 18;
  for (uint i = 0; i < count; i++) words[i] = ~words[i];
  params[0] += 1u;
}
