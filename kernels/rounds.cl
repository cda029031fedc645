/*
 * One launch serves rows that are there: one workgroup per row, one thread per entry. For devices without fine-grain atomics, and for
 * measuring kernels by themselves.
 *
 *   slots   slot 0
 *   params  WB_PARAM_WORDS words of slot 0
 *   rows    the rows of the round, in the layout of the queue, one behind the other
 *   tables  all tables
 *
 * With WB_PACKED (devices that packets are copied to) `slots` holds what the packets' PLACEs name and nothing between them; an entry is
 * where the packet's slot would begin, in units of WB_PACKED bytes, and the params of an entry lie at its own number.
 */
__kernel __attribute__((reqd_work_group_size(WB_WORKGROUP_SIZE, 1, 1))) void
rounds(__global uchar *slots, __global uint *params, __global const uint *rows, __global const uint *tables) {
  __local uint local_words[WB_LOCAL_WORDS];
  const uint thread = get_local_id(0);
  wb_init(local_words, thread, WB_WORKGROUP_SIZE);
  barrier(CLK_LOCAL_MEM_FENCE);
  __global const uint *row = rows + get_group_id(0) * (WB_ROW_HEADER + WB_WORKGROUP_SIZE);
  const uint entry = row[WB_ROW_HEADER + thread];
  if (entry != WB_DUMMY) {
#ifdef WB_PACKED
    __global uchar *slot = slots + (size_t)entry * WB_PACKED;
    __global uint *words = params + get_global_id(0) * WB_PARAM_WORDS;
#else
    __global uchar *slot = slots + (size_t)entry * WB_SLOT_SIZE;
    __global uint *words = params + (size_t)entry * WB_PARAM_WORDS;
#endif
    wb_serve(row[WB_ROW_PROGRAM], slot, words, tables + row[WB_ROW_TABLE], local_words);
  }
}
