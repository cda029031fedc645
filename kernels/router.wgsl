// router: longest prefix match by DIR-24-8-BASIC over the tables of nfs/router/fib.ts, two u16 entries to a word. params[1] is the
// destination address, which prepare reads where it reads the TTL; params[0] becomes the next hop, or 0 where there is no route. No packet
// byte is looked at.

const ROUTER_GROUP_BIT: u32 = 0x8000u;
// Words of tbl24.
const ROUTER_TBL8: u32 = 1u << 23u;

fn nf_router(slot: u32, params_at: u32, table: u32) {
  let destination = params[params_at + 1u];
  let prefix = destination >> 8u;
  var hop = (tables[table + (prefix >> 1u)] >> ((prefix & 1u) * 16u)) & 0xffffu;
  if ((hop & ROUTER_GROUP_BIT) != 0u) {
    let entry = ((hop & ~ROUTER_GROUP_BIT) << 8u) | (destination & 0xffu);
    hop = (tables[table + ROUTER_TBL8 + (entry >> 1u)] >> ((entry & 1u) * 16u)) & 0xffffu;
  }
  params[params_at] = hop;
}
