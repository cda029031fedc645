/*
 * router: longest prefix match by DIR-24-8-BASIC over the tables of nfs/router/fib.ts. params[1] is the destination address, which prepare
 * reads where it reads the TTL; params[0] becomes the next hop, or 0 where there is no route. No packet byte is looked at.
 */

#define NF_ROUTER_LOCAL_WORDS 0
#define ROUTER_GROUP_BIT 0x8000u

static void nf_router_init(__local uint *local_words, uint thread, uint threads) {}

static void nf_router(__global uchar *slot, __global uint *params, __global const uint *table,
                      __local const uint *local_words) {
  const uint destination = params[1];
  __global const ushort *tbl24 = (__global const ushort *)table;
  uint hop = tbl24[destination >> 8];
  if (hop & ROUTER_GROUP_BIT) {
    __global const ushort *tbl8 = tbl24 + (1u << 24);
    hop = tbl8[((hop & ~ROUTER_GROUP_BIT) << 8) | (destination & 0xffu)];
  }
  params[0] = hop;
}
