// nids: whether any pattern of the rules occurs in the packet's bytes at PARAM_PLACE: params[0] becomes 1 where one does, else 0. Which it is
// the CPU finds out, and judges the rules (nfs/nids/gpu.ts).
//
// Aho-Corasick (CACM 18(6), 1975) over the tables of nfs/nids/gpu-tables.ts. No byte leaves the accepting state, so whether it was reached
// is asked once per word.
//
// Measured on SwiftShader, 1,024 packets of 64 to 1472 bytes, against this: a load and a question per byte 0.7 to 0.9 of the speed; four
// pieces of a packet side by side, as nids.cl has them, 0.8 to 1.05: neighbouring threads hide what a load takes.

const NIDS_ACCEPT: u32 = 0u;
const NIDS_TRANSITIONS: u32 = 1u;
const NIDS_WHOLE: u32 = 2u;
const NIDS_CLASSES: u32 = 16u;

fn nids_step(state: u32, byte: u32, classes: u32, transitions: u32) -> u32 {
  let class_of = (tables[classes + (byte >> 2u)] >> ((byte & 3u) * 8u)) & 0xffu;
  return tables[transitions + state + class_of];
}

// The packet's byte `at`, counted from the start of its slot.
fn nids_byte(slot: u32, at: u32) -> u32 {
  return (slots[slot + (at >> 2u)] >> ((at & 3u) * 8u)) & 0xffu;
}

fn nf_nids(slot: u32, params_at: u32, table: u32) {
  let place = params[params_at + WB_PARAM_PLACE];
  var at = place & 0xffffu;
  let end = at + (place >> 16u);
  let accept = tables[table + NIDS_ACCEPT];
  let classes = table + NIDS_CLASSES;
  let transitions = table + tables[table + NIDS_TRANSITIONS];
  var state = 0u;
  for (; at < end && (at & 3u) != 0u; at++) {
    state = nids_step(state, nids_byte(slot, at), classes, transitions);
  }
  for (; at + 4u <= end && state != accept; at += 4u) {
    let word = slots[slot + (at >> 2u)];
    state = nids_step(state, word & 0xffu, classes, transitions);
    state = nids_step(state, (word >> 8u) & 0xffu, classes, transitions);
    state = nids_step(state, (word >> 16u) & 0xffu, classes, transitions);
    state = nids_step(state, word >> 24u, classes, transitions);
  }
  for (; at < end; at++) {
    state = nids_step(state, nids_byte(slot, at), classes, transitions);
  }
  params[params_at] = select(0u, 1u, state == accept);
}

// Without a pattern a packet is clean: nfs/nids/index.ts says whether that is final.
fn nf_nids_outcome(params_at: u32) -> u32 {
  return select(WB_UNDECIDED, 0u, params[params_at] == 0u);
}

// What is searched, as Nids.ranges in nfs/nids/cpu.ts has it.
fn nf_nids_enter(slot: u32, params_at: u32, table: u32, packet: WbPacket) -> u32 {
  var first = packet.l4;
  var end = packet.l3_end;
  if (tables[table + NIDS_WHOLE] == 0u) {
    first = packet.payload;
    end = select(first, packet.payload_end, (packet.flags & WB_FLAG_L4) != 0u);
  }
  params[params_at] = 0u;
  params[params_at + WB_PARAM_PLACE] = first | ((end - first) << 16u);
  return select(WB_SKIPS, WB_SERVE, end > first);
}
