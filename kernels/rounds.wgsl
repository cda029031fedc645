// One dispatch serves rows that are there, all of one program: one workgroup per row, one thread per entry.
//
// With WB_PACKED, bytes, other than 0, `slots` holds what the packets' PLACEs name and nothing between them: an entry is where the packet's
// slot would begin, in units of WB_PACKED bytes, and the params of an entry lie at its own number. Else entries are slot numbers.

@compute @workgroup_size(WB_WORKGROUP_SIZE)
fn rounds(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  wb_init(thread, WB_WORKGROUP_SIZE);
  let number = wb_first_row + group.x;
  let row = number * (WB_ROW_HEADER + WB_WORKGROUP_SIZE);
  let entry = rows[row + WB_ROW_HEADER + thread];
  if (entry != WB_DUMMY) {
    let slot = entry * (select(WB_SLOT_SIZE, WB_PACKED, WB_PACKED != 0u) / 4u);
    let words = select(entry, number * WB_WORKGROUP_SIZE + thread, WB_PACKED != 0u) * WB_PARAM_WORDS;
    wb_serve(rows[row + WB_ROW_PROGRAM], slot, words, rows[row + WB_ROW_TABLE]);
  }
}
