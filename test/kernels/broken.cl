/* broken, for tests of devices: does not compile, and the log has to say why. */
#define NF_BROKEN_LOCAL_WORDS 0

static void nf_broken_init(__local uint *local_words, uint thread, uint threads) {}

static void nf_broken(__global uchar *slot, __global uint *params, __global const uint *table, __local const uint *local_words) {
  params[0] = no_such_variable;
}
