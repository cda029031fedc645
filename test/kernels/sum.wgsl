// sum, for tests of devices: what sum.cl does.
var<workgroup> sum_words: array<u32, 1>;

fn nf_sum_init(thread: u32, threads: u32) {
  if (thread == threads - 1u) { sum_words[0] = 13u; }
}

fn nf_sum(slot: u32, params_at: u32, table: u32) {
  let place = params[params_at + WB_PARAM_PLACE];
  let first = place & 0xffffu;
  let end = first + (place >> 16u);
  var sum = tables[table + 1u];
  for (var i = first; i < end; i++) { sum += (slots[slot + (i >> 2u)] >> ((i & 3u) * 8u)) & 0xffu; }
  params[params_at] = sum;
  params[params_at + 1u] += 1u;
  params[params_at + 3u] = sum_words[0];
}
