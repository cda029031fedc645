/*
 * One launch serves rows that are there: one workgroup per row, one thread per entry. For devices without fine-grain atomics, and for
 * measuring kernels by themselves.
 *
 *   slots   slot 0; on devices that copy, the slots of the round
 *   params  WB_PARAM_WORDS words of slot 0
 *   rows    the rows of the round, in the layout of the queue, one behind the other
 *   tables  all tables
 */
__kernel __attribute__((reqd_work_group_size(WB_WORKGROUP_SIZE, 1, 1))) void
rounds(__global uchar *slots, __global uint *params, __global const uint *rows, __global const uint *tables) {
  __local uint local_words[WB_LOCAL_WORDS];
  const uint thread = get_local_id(0);
  wb_init(local_words, thread, WB_WORKGROUP_SIZE);
  barrier(CLK_LOCAL_MEM_FENCE);
  __global const uint *row = rows + get_group_id(0) * (WB_ROW_HEADER + WB_WORKGROUP_SIZE);
  const uint slot = row[WB_ROW_HEADER + thread];
  if (slot != WB_DUMMY) {
    wb_serve(row[WB_ROW_PROGRAM], slots + (size_t)slot * WB_SLOT_SIZE, params + (size_t)slot * WB_PARAM_WORDS,
             tables + row[WB_ROW_TABLE], local_words);
  }
}
