// One dispatch serves rows that are there: one workgroup per row, one thread per entry.

@compute @workgroup_size(WB_WORKGROUP_SIZE)
fn rounds(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  wb_init(thread, WB_WORKGROUP_SIZE);
  let row = group.x * (WB_ROW_HEADER + WB_WORKGROUP_SIZE);
  let slot = rows[row + WB_ROW_HEADER + thread];
  if (slot != WB_DUMMY) {
    wb_serve(rows[row + WB_ROW_PROGRAM], slot * (WB_SLOT_SIZE / 4u), slot * WB_PARAM_WORDS, rows[row + WB_ROW_TABLE]);
  }
}
