/*
 * pass: touches nothing. For measuring the way of a row by itself (bench), and for tests of devices.
 */
#define NF_PASS_LOCAL_WORDS 0

static void nf_pass_init(__local uint *local_words, uint thread, uint threads) {}

static void nf_pass(__global uchar *slot, __global uint *params, __global const uint *table, __local const uint *local_words) {}
