// touch, for experiments: what touch.cl does. PLACE begins and ends with a word.
fn nf_touch(slot: u32, params_at: u32, table: u32) {
  let place = params[params_at + WB_PARAM_PLACE];
  let first = slot + ((place & 0xffffu) >> 2u);
  let end = first + (place >> 18u);
  for (var i = first; i < end; i++) {
    slots[i] = ~slots[i];
  }
  params[params_at] += 1u;
}
