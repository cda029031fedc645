// mark, for tests of devices: what mark.cl does. A packet may begin and end within a word; its neighbours' bytes stay.
var<workgroup> mark_words: array<u32, 2>;
// Stays 0: what waits for it waits for ever. A loop without atomics may be taken out by a compiler.
var<workgroup> mark_never: atomic<u32>;

fn nf_mark_init(thread: u32, threads: u32) {
  if (thread == 0u) {
    mark_words[0] = 7u;
    mark_words[1] = 11u;
    atomicStore(&mark_never, 0u);
  }
}

fn nf_mark(slot: u32, params_at: u32, table: u32) {
  let place = params[params_at + WB_PARAM_PLACE];
  let first = place & 0xffffu;
  let bytes = place >> 16u;
  var sum = 0u;
  if (params[params_at + 2u] == 0xdeadu) {
    loop {
      if (atomicLoad(&mark_never) != 0u) { break; }
    }
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
