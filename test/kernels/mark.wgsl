// mark, for tests of devices: what mark.cl does. A packet may begin and end within a word; its neighbours' bytes stay.
var<workgroup> mark_words: array<u32, 2>;

fn nf_mark_init(thread: u32, threads: u32) {
  if (thread == 0u) {
    mark_words[0] = 7u;
    mark_words[1] = 11u;
  }
}

fn nf_mark(slot: u32, params_at: u32, table: u32) {
  let place = params[params_at + WB_PARAM_PLACE];
  let first = place & 0xffffu;
  let bytes = place >> 16u;
  var sum = 0u;
  // No loop without an end: compilers of WGSL may take them out. This one goes on for as long as the word is there.
  loop {
    if (params[params_at + 2u] != 0xdeadu) { break; }
  }
  for (var i = first; i < first + bytes; i++) {
    let at = slot + (i >> 2u);
    let shift = (i & 3u) * 8u;
    let word = slots[at];
    let byte = (word >> shift) & 0xffu;
    sum += byte;
    slots[at] = (word & ~(0xffu << shift)) | (((byte + tables[table]) & 0xffu) << shift);
  }
  params[params_at] = sum;
  params[params_at + 1u] += 1u;
  // Workgroup memory is the NF's own: not filled, or another's, and this shows.
  params[params_at + 3u] = mark_words[0] * 256u + mark_words[1];
}
