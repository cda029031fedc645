const NIDS_ACCEPT: u32 = 0u;
const NIDS_TRANSITIONS: u32 = 1u;
const NIDS_CLASSES: u32 = 16u;
fn nids_step(state: u32, byte: u32, classes: u32, transitions: u32) -> u32 {
  let class_of = (tables[classes + (byte >> 2u)] >> ((byte & 3u) * 8u)) & 0xffu;
  return tables[transitions + state + class_of];
}
fn nf_nids(slot: u32, params_at: u32, table: u32) {
  let place = params[params_at + WB_PARAM_PLACE];
  var at = place & 0xffffu;
  let end = at + (place >> 16u);
  let accept = tables[table + NIDS_ACCEPT];
  let classes = table + NIDS_CLASSES;
  let transitions = table + tables[table + NIDS_TRANSITIONS];
  var state = 0u;
  for (; at < end && (at & 3u) != 0u; at++) { state = nids_step(state, (slots[slot + (at >> 2u)] >> ((at & 3u) * 8u)) & 0xffu, classes, transitions); }
  for (; at + 4u <= end && state != accept; at += 4u) {
    let w = slots[slot + (at >> 2u)];
    state = nids_step(state, w & 0xffu, classes, transitions);
    state = nids_step(state, (w >> 8u) & 0xffu, classes, transitions);
    state = nids_step(state, (w >> 16u) & 0xffu, classes, transitions);
    state = nids_step(state, w >> 24u, classes, transitions);
  }
  for (; at < end; at++) { state = nids_step(state, (slots[slot + (at >> 2u)] >> ((at & 3u) * 8u)) & 0xffu, classes, transitions); }
  params[params_at] = select(0u, 1u, state == accept);
}
