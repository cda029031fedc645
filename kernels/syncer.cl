/*
 * GPUSyncer (Hummingbird IV-C, Algorithm 1): one kernel that runs from start to stop. Each workgroup takes a queue by ticket and serves its
 * rows, one thread per entry, whichever NF the row's header names. test/model/syncer.pml is the proof of the protocol; the rules in its
 * head are followed here.
 *
 *   slots   slot 0 of the arena
 *   params  WB_PARAM_WORDS words of slot 0
 *   queue   control lines and rows, as runtime/device/queue.ts says
 *   tables  all tables
 *
 * Only the first thread touches control words, and tells the others through local memory. GpuIndex moves behind the closing barrier: the
 * paper moves it before (line 13), when other threads may still be writing.
 *
 * Every thread goes through the same barriers whatever it finds: the loop has one way out, and the barriers stand outside all branches.
 */

/* What the first thread tells the others. */
#define WB_TOLD_QUEUE 0
#define WB_TOLD_INDEX 1
#define WB_TOLD_SERVE 2
#define WB_TOLD_WORDS 3

#define WB_NO_QUEUE 0xffffffffu

/* WG.LEFT */
#define WB_LEFT_STOP 1u
#define WB_LEFT_LEAVE 2u
#define WB_LEFT_HEARTBEAT 3u

/* Polls between two looks at the heartbeat. */
#define WB_BEAT_POLLS 64u

static inline uint wb_load(__global uint *word) {
  return atomic_load_explicit((volatile __global atomic_uint *)word, memory_order_relaxed, WB_SCOPE);
}

static inline void wb_store(__global uint *word, uint value) {
  atomic_store_explicit((volatile __global atomic_uint *)word, value, memory_order_relaxed, WB_SCOPE);
}

static inline uint wb_load_acquire(__global uint *word) {
  return atomic_load_explicit((volatile __global atomic_uint *)word, memory_order_acquire, WB_SCOPE);
}

static inline void wb_store_release(__global uint *word, uint value) {
  atomic_store_explicit((volatile __global atomic_uint *)word, value, memory_order_release, WB_SCOPE);
}

/*
 * Between two polls, `idle` of which have found nothing since the last row; returns how many polls the pause took the time of. A GPU has these
 * threads for nothing else. Where a processor plays GPU (PoCL under Linux on x86-64), the host's threads need it too: other threads go first,
 * and a workgroup that has had nothing to do for about a millisecond sleeps.
 */
static inline uint wb_pause(uint idle) {
#ifdef WB_YIELD
  long result;
  if (idle > 2048u) {
    long span[2] = {0, 50000}; /* s, ns */
    __asm__ volatile("syscall" : "=a"(result) : "a"(35L), "D"(span), "S"(0L) : "rcx", "r11", "memory"); /* nanosleep */
    return 256u;
  }
  __asm__ volatile("syscall" : "=a"(result) : "a"(24L) : "rcx", "r11", "memory"); /* sched_yield */
#endif
  return 1u;
}

#ifdef WB_FAULT_AFTER
/*
 * For tests of what is to find out a device that computes wrongly (runtime/device/fault.ts): one bit of one packet that was written, or of one
 * answer that is not 0, is another. Bit n of WB_FAULT_PACKETS: program n writes packets. `once`: a word of the device's line.
 */
static void wb_fault(uint program, __global uchar *slot, __global uint *params, __global uint *once) {
  const bool packet = ((WB_FAULT_PACKETS >> program) & 1u) != 0u;
  if (!packet && params[0] == 0u) return;
  if (atomic_exchange_explicit((volatile __global atomic_uint *)once, 1u, memory_order_relaxed, WB_SCOPE) != 0u) return;
  const uint place = params[WB_PARAM_PLACE];
  if (packet) slot[(place & 0xffffu) + (place >> 17)] ^= 1;
  else params[0] ^= 1u;
}
#endif

__kernel __attribute__((reqd_work_group_size(WB_WORKGROUP_SIZE, 1, 1))) void
gpu_syncer(__global uchar *slots, __global uint *params, __global uint *queue, __global const uint *tables) {
  __local uint local_words[WB_LOCAL_WORDS];
  __local uint told[WB_TOLD_WORDS];
  const uint thread = get_local_id(0);

  if (thread == 0) {
    told[WB_TOLD_QUEUE] = WB_NO_QUEUE;
    if (wb_load(queue + WB_HOST_STOP) == 0u && wb_load(queue + WB_HOST_LEAVE) == 0u) {
      const uint ticket = atomic_fetch_add_explicit((volatile __global atomic_uint *)(queue + WB_TICKET), 1u,
                                                    memory_order_relaxed, WB_SCOPE);
      const uint queues = wb_load(queue + WB_HOST_QUEUES);
      if (ticket < queues) {
        const uint mine = (wb_load(queue + WB_HOST_FIRST) + ticket) % queues;
        __global uint *line = queue + (2u + mine) * WB_LINE_WORDS;
        told[WB_TOLD_QUEUE] = mine;
        /* All the state that a launch takes over. */
        told[WB_TOLD_INDEX] = wb_load_acquire(line + WB_GPU_INDEX);
        wb_store(line + WB_LEFT, 0u);
        wb_store_release(line + WB_STARTED, wb_load(queue + WB_HOST_LAUNCH));
      }
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
  /* Of the first thread. */
  uint served = 0;
  uint polls = 0;
  uint looked = 0;
  uint fruitless = 0;
  uint beat = 0;

  while (serves) {
    if (thread == 0) {
      uint left = 0;
      uint idle = 0;
      for (;;) {
        const uint stop = wb_load(queue + WB_HOST_STOP);
        const uint leave = wb_load(queue + WB_HOST_LEAVE);
        const bool waits = wb_load_acquire(line + WB_CPU_INDEX) != index;
        if (stop != 0u) {
          left = WB_LEFT_STOP;
          break;
        }
        /* A row that waits is served first, however short the slice: so every launch gets on. */
        if (leave != 0u && (served != 0u || !waits)) {
          left = WB_LEFT_LEAVE;
          break;
        }
        if (waits) break;
        polls += wb_pause(idle++);
        if (polls - looked >= WB_BEAT_POLLS) {
          wb_store(line + WB_POLLS, polls);
          const uint now = wb_load(queue + WB_HOST_HEARTBEAT);
          const uint patience = wb_load(queue + WB_HOST_PATIENCE);
          fruitless = now == beat ? fruitless + (polls - looked) : 0u;
          looked = polls;
          beat = now;
          if (patience != 0u && fruitless >= patience) {
            left = WB_LEFT_HEARTBEAT;
            break;
          }
        }
      }
      told[WB_TOLD_SERVE] = left == 0u ? 1u : 0u;
      if (left != 0u) wb_store(line + WB_LEFT, left);
    }
    work_group_barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE, WB_SCOPE);

    serves = told[WB_TOLD_SERVE] != 0u;
    if (serves) {
      __global const uint *row = rows + (index & (WB_DEPTH - 1u)) * (WB_ROW_HEADER + WB_WORKGROUP_SIZE);
      const uint slot = row[WB_ROW_HEADER + thread];
      if (slot != WB_DUMMY) {
        wb_serve(row[WB_ROW_PROGRAM], slots + (size_t)slot * WB_SLOT_SIZE, params + (size_t)slot * WB_PARAM_WORDS,
                 tables + row[WB_ROW_TABLE], local_words);
#ifdef WB_FAULT_AFTER
        if (index >= WB_FAULT_AFTER) {
          wb_fault(row[WB_ROW_PROGRAM], slots + (size_t)slot * WB_SLOT_SIZE, params + (size_t)slot * WB_PARAM_WORDS,
                   queue + WB_TICKET + 1u);
        }
#endif
      }
    }
    work_group_barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE, WB_SCOPE);

    index++;
    served = 1u;
    if (thread == 0 && serves) wb_store_release(line + WB_GPU_INDEX, index);
  }
}
