// nids: whether any pattern of the rules occurs in the packet's bytes at PARAM_PLACE. params[0] becomes 1 where one does, else 0. The CPU
// finds out which, and judges the rules (nfs/nids/gpu.ts).
//
// Aho-Corasick (CACM 18(6), 1975) over the automaton of nfs/nids/gpu-tables.ts. It has one accepting state, which no byte leaves, so
// whether it was reached may be asked once per word.

const NIDS_ACCEPT: u32 = 0u;
const NIDS_CLASSES: u32 = 16u;
const NIDS_TRANSITIONS: u32 = 80u;

fn nf_nids_init(thread: u32, threads: u32) {}

fn nids_step(state: u32, byte: u32, table: u32) -> u32 {
  let class_of = (tables[table + NIDS_CLASSES + (byte >> 2u)] >> ((byte & 3u) * 8u)) & 0xffu;
  return tables[table + NIDS_TRANSITIONS + state + class_of];
}

fn nf_nids(slot: u32, params_at: u32, table: u32) {
  let place = params[params_at + WB_PARAM_PLACE];
  var at = place & 0xffffu;
  let end = at + (place >> 16u);
  let accept = tables[table + NIDS_ACCEPT];
  var state = 0u;
  while (at < end && state != accept) {
    let word = slots[slot + (at >> 2u)];
    state = nids_step(state, (word >> ((at & 3u) * 8u)) & 0xffu, table);
    at++;
  }
  params[params_at] = select(0u, 1u, state == accept);
}
