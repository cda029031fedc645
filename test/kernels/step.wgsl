// step: params[0] becomes params[1] and the first word of the tables together. Where a packet comes from another NF, params[1] is the last
// word in front of its L4 header and the number of its type.

fn nf_step(slot: u32, params_at: u32, table: u32) {
  params[params_at] = params[params_at + 1u] + tables[table];
}

// Odd sums are the host's.
fn nf_step_outcome(params_at: u32) -> u32 {
  return select(0u, WB_UNDECIDED, (params[params_at] & 1u) == 1u);
}

fn nf_step_enter(slot: u32, params_at: u32, table: u32, packet: WbPacket) -> u32 {
  params[params_at + 1u] = slots[slot + (packet.l4 >> 2u) - 1u] + packet.kind;
  return WB_SERVE;
}
