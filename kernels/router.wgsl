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

// With a next hop it is forwarded.
fn nf_router_outcome(params_at: u32) -> u32 {
  return select(0u, WB_UNDECIDED, params[params_at] == 0u);
}

// The destination, which prepare reads where it is for the host. The TTL the host judges alone.
fn nf_router_enter(slot: u32, params_at: u32, table: u32, packet: WbPacket) -> u32 {
  if ((packet.flags & WB_FLAG_IPV4) == 0u) {
    return WB_STAYS_OUT;
  }
  let at = packet.l3 + 16u;
  let shift = (at & 3u) * 8u;
  var word = slots[slot + (at >> 2u)] >> shift;
  if (shift != 0u) {
    word |= slots[slot + (at >> 2u) + 1u] << (32u - shift);
  }
  params[params_at] = 0u;
  params[params_at + 1u] = wb_swap32(word);
  return WB_SERVE;
}
