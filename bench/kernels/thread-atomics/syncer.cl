/*
 * GPUSyncer with an atomic of every thread instead of the first one's (what the paper's section IV-D saves): each thread polls CpuIndex
 * itself, and each adds its share to a counter; who completes a row moves GpuIndex. To measure what the first-thread rule is worth; the
 * layout is that of runtime/device/queue.ts, so host and syncer are the product's.
 *
 * The barriers stay: without them threads would get rows apart, and where a processor plays GPU, a thread that polls with no barrier
 * ahead never lets the next one begin.
 */

#define WB_TOLD_QUEUE 0
#define WB_TOLD_INDEX 1
#define WB_TOLD_LEAVE 2
#define WB_TOLD_WORDS 3

#define WB_NO_QUEUE 0xffffffffu
/* A word of the device's half of the control line that the product leaves free: entries served so far. */
#define WB_SHARES 24

#define WB_LEFT_STOP 1u
#define WB_LEFT_LEAVE 2u
#define WB_LEFT_HEARTBEAT 3u
#define WB_BEAT_POLLS 64u

static inline uint wb_load(__global uint *word) {
  return atomic_load_explicit((volatile __global atomic_uint *)word, memory_order_acquire, WB_SCOPE);
}

static inline void wb_store(__global uint *word, uint value) {
  atomic_store_explicit((volatile __global atomic_uint *)word, value, memory_order_release, WB_SCOPE);
}

static inline uint wb_add(__global uint *word, uint value) {
  return atomic_fetch_add_explicit((volatile __global atomic_uint *)word, value, memory_order_acq_rel, WB_SCOPE);
}

static inline void wb_pause(void) {
#ifdef WB_YIELD
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(24L) : "rcx", "r11", "memory"); /* sched_yield of Linux on x86-64 */
#endif
}

__kernel __attribute__((reqd_work_group_size(WB_WORKGROUP_SIZE, 1, 1))) void
gpu_syncer(__global uchar *slots, __global uint *params, __global uint *queue, __global const uint *tables) {
  __local uint local_words[WB_LOCAL_WORDS];
  __local uint told[WB_TOLD_WORDS];
  const uint thread = get_local_id(0);

  if (thread == 0) {
    told[WB_TOLD_QUEUE] = WB_NO_QUEUE;
    told[WB_TOLD_LEAVE] = 0u;
    const uint ticket = wb_add(queue + WB_TICKET, 1u);
    if (ticket < wb_load(queue + WB_HOST_QUEUES) && wb_load(queue + WB_HOST_STOP) == 0u) {
      const uint mine = (wb_load(queue + WB_HOST_FIRST) + ticket) % wb_load(queue + WB_HOST_QUEUES);
      __global uint *line = queue + (2u + mine) * WB_LINE_WORDS;
      told[WB_TOLD_QUEUE] = mine;
      told[WB_TOLD_INDEX] = wb_load(line + WB_GPU_INDEX);
      wb_store(line + WB_LEFT, 0u);
      wb_store(line + WB_STARTED, wb_load(queue + WB_HOST_LAUNCH));
    }
  }
  wb_init(local_words, thread, WB_WORKGROUP_SIZE);
  barrier(CLK_LOCAL_MEM_FENCE);

  const uint mine = told[WB_TOLD_QUEUE];
  bool serves = mine != WB_NO_QUEUE;
  __global uint *line = queue + (2u + (serves ? mine : 0u)) * WB_LINE_WORDS;
  __global uint *rows =
      queue + (2u + WB_WORKGROUPS) * WB_LINE_WORDS + (serves ? mine : 0u) * WB_DEPTH * (WB_ROW_HEADER + WB_WORKGROUP_SIZE);
  uint index = told[WB_TOLD_INDEX];
  uint polls = 0;
  uint fruitless = 0;
  uint beat = 0;

  while (serves) {
    uint left = 0;
    while (left == 0u && wb_load(line + WB_CPU_INDEX) == index) {
      if (wb_load(queue + WB_HOST_STOP) != 0u) left = WB_LEFT_STOP;
      if (wb_load(queue + WB_HOST_LEAVE) != 0u) left = WB_LEFT_LEAVE;
      polls++;
      if (thread == 0 && polls % WB_BEAT_POLLS == 0u) {
        wb_store(line + WB_POLLS, polls);
        const uint now = wb_load(queue + WB_HOST_HEARTBEAT);
        const uint patience = wb_load(queue + WB_HOST_PATIENCE);
        fruitless = now == beat ? fruitless + WB_BEAT_POLLS : 0u;
        beat = now;
        if (patience != 0u && fruitless >= patience) left = WB_LEFT_HEARTBEAT;
      }
      wb_pause();
    }
    /* Leaving is final, so nobody takes this back; all threads leave together, whoever was told. */
    if (left != 0u) {
      told[WB_TOLD_LEAVE] = 1u;
      wb_store(line + WB_LEFT, left);
    }
    work_group_barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE, WB_SCOPE);

    serves = told[WB_TOLD_LEAVE] == 0u;
    index++;
    if (serves) {
      __global const uint *row = rows + ((index - 1u) & (WB_DEPTH - 1u)) * (WB_ROW_HEADER + WB_WORKGROUP_SIZE);
      const uint slot = row[WB_ROW_HEADER + thread];
      if (slot != WB_DUMMY) {
        wb_serve(row[WB_ROW_PROGRAM], slots + (size_t)slot * WB_SLOT_SIZE, params + (size_t)slot * WB_PARAM_WORDS,
                 tables + row[WB_ROW_TABLE], local_words);
      }
      /* Acquire and release: who completes the row has seen what all threads wrote. */
      const uint shares = wb_add(line + WB_SHARES, 1u) + 1u;
      if ((shares & (WB_WORKGROUP_SIZE - 1u)) == 0u) wb_store(line + WB_GPU_INDEX, index);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
  }
}
