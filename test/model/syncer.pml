/*
 * The protocol between CPUSyncer (runtime/device/syncer.ts) and GPUSyncer (kernels/syncer.cl). test/model.test.ts runs spin
 * over it: both sides are written to a protocol that has been proved for the sizes given there.
 *
 * What it models
 *   Queue        one circular queue of DEPTH rows per workgroup; column t of a row belongs to thread t. An entry is a slot
 *                number or a dummy; the row's header says how many packets it holds.
 *   Indices      CpuIndex (rows published) and GpuIndex (rows processed) of each queue, compared by difference modulo
 *                MODULUS: u32 in the device, small here so that they wrap around again and again. Slots are used again
 *                and again too, so a run has no end unless the host stops it.
 *   GPUSyncer    a workgroup that starts looks at stop and leave, takes a queue by atomic ticket and registers
 *                (started); its first thread polls CpuIndex and broadcasts; barrier; each thread processes its column;
 *                barrier; the first thread advances GpuIndex.
 *   CPUSyncer    publishes full rows, and at a deadline a row with dummies in the empty columns, only to queues that
 *                registered and have room; collects the rows of a queue up to GpuIndex in the order they were published;
 *                frees slots.
 *   Residency    of WORKGROUPS workgroups a launch runs MIN_RESIDENT..WORKGROUPS at once (chosen anew for every launch);
 *                the others start when one of those has returned, so perhaps not before stop or leave.
 *   Leave        (slices) the kernel returns with rows in flight and is launched again, by a thread of its own (Launcher).
 *                These rules make that safe and live, however few workgroups run in a launch:
 *                - A workgroup serves one row that is there before it heeds leave.
 *                - A launch begins its tickets at the next queue, after the last launch's, in which rows wait; that queue
 *                  has somebody. (So does one that is WANTED, whose syncer has packets and no queue that is served: see below.)
 *                - A slice may be of any length, but is longer than one round of the host's from when a workgroup has
 *                  registered (a shorter one could end before anything is published, for ever). It may have no end;
 *                  but where rows wait in a queue that nobody serves in this launch, leave comes.
 *                The host publishes nothing from leave to the next launch; but it may have looked just before, so the
 *                model lets it publish all the same: such a row waits for its queue's turn.
 *   Stop         at any moment. Rows that the kernel did not get to go back to the host unprocessed, and are counted.
 *
 * What is proved
 *   Safety (assertions, invalid end states): a packet is processed exactly once, by one thread, and the host reads it
 *   only when that thread has written it; no entry is read that the host has not written, no row is written while it is
 *   in flight, no dummy is forwarded, rows hold what their headers say, nothing is left behind at stop, nobody hangs.
 *   Progress (ltl, weak fairness): a packet that has arrived goes back to the host, also when arrivals cease, when a
 *   thread is starved for any finite time, and when a workgroup is late or never starts.
 *
 * What must fail (test/model.test.ts shows how)
 *   PAPER_ORDER    GpuIndex advances before the closing barrier, as in Algorithm 1, lines 13 and 14.
 *   NO_DUMMIES     a row is published only when it is full (what section IV-D introduces dummies for).
 *   PLAIN_COMPARE  indices are compared as numbers: wrong once CpuIndex has wrapped around and GpuIndex has not.
 *   TICKET_ZERO    every launch starts its tickets at queue 0: strands rows when fewer workgroups run than before.
 *   SHORT_SLICES   leave may be raised as soon as a workgroup has registered, before the host has had its round.
 *   ANY_QUEUE      the host gives work to queues that nobody has registered for.
 *
 * What is abstracted
 *   Memory order. Promela is sequentially consistent. The device stores CpuIndex and GpuIndex with release and loads them
 *   with acquire (scope: all SVM devices), barriers order the workgroup's memory, and everything else is plain: the model
 *   justifies that only where each plain access lies between two of those, which is what the assertions check.
 *   Polling is a blocking guard. The NF is one step. What NF a row is for, and tables, do not
 *   matter to the protocol. Several CPUSyncer cores have disjoint workgroups, so each is a copy of this model; what they
 *   share is which queues a launch serves. Where none of a core's is among them it cannot publish, and says WANTED, which
 *   counts as a row that waits there: it strands, leave comes, and the queue has its turn among those in which rows wait. A thread that never takes a step again (a stalled NF) is outside: the device's deadline is for it.
 *
 * Sources: the Hummingbird paper, sections IV-B to IV-D, Algorithms 1 (GPUSyncer) and 2 (CPUSyncer); names are the paper's.
 */

#ifndef WORKGROUPS
#define WORKGROUPS 1
#endif
#ifndef MIN_RESIDENT
#define MIN_RESIDENT WORKGROUPS
#endif
#ifndef THREADS
#define THREADS 2
#endif
/* Rows of a queue, a power of two. */
#ifndef DEPTH
#define DEPTH 2
#endif
/* Stands for 2^32: a larger power of two than DEPTH, so that a full queue is not taken for an empty one. */
#ifndef MODULUS
#define MODULUS 4
#endif
/* Slots, so also how many packets there are at once. */
#ifndef PACKETS
#define PACKETS 3
#endif

#define NEXT(index) ((index + 1) % MODULUS)
#define MINUS(a, b) ((a + MODULUS - b) % MODULUS)
#ifdef PLAIN_COMPARE
#define AHEAD(a, b) (a > b)
#else
#define AHEAD(a, b) (MINUS(a, b) != 0)
#endif
#define ROW(queue, index) ((queue) * DEPTH + (index) % DEPTH)
#define ENTRY(queue, index, column) (ROW(queue, index) * THREADS + (column))

/* What an entry holds besides a slot number. NOTHING is the model's own: the device leaves the old slot there. */
#define DUMMY 254
#define NOTHING 255

/* Where a slot is. */
#define FREE 0
#define WAITING 1   /* arrived, not published */
#define IN_FLIGHT 2 /* published, untouched */
#define WRITTEN 3

/* Shared virtual memory. */
byte state[PACKETS];
byte entry[WORKGROUPS * DEPTH * THREADS];
byte packets[WORKGROUPS * DEPTH]; /* row header */
byte CpuIndex[WORKGROUPS];
byte GpuIndex[WORKGROUPS];
bool started[WORKGROUPS];
byte ticket;
byte firstQueue; /* that of the first ticket */
bool leave;
bool stop;

/* The device's scheduler: workgroups of this launch still to start, threads that run, threads still to return. */
bool toStart[WORKGROUPS];
byte resident;
byte running;
byte remaining;
bool over;  /* no launch will follow */
bool round; /* the host has had a round in this launch, with somebody to serve what it published */

/* Local memory of a workgroup: what its first thread broadcasts. */
bool serve[WORKGROUPS]; /* a row; otherwise: return */
byte queue[WORKGROUPS];
byte localIndex[WORKGROUPS];
byte met[WORKGROUPS];
bit phase[WORKGROUPS];

/*
 * A barrier is arrive(), then waiting for phase[wg] != mine. Atomic blocks begin with such a wait or a poll and end with
 * arrive() or an index store, with one access to shared data between: no other process can tell that they are atomic.
 */
inline arrive() {
  met[wg]++;
  mine = phase[wg];
  if
  :: met[wg] == THREADS -> met[wg] = 0; phase[wg] = 1 - phase[wg]
  :: else
  fi
}

/* Line 10 of Algorithm 1, on this thread's column. One step: where it stands between the barriers is what matters. */
inline process(column) {
  d_step {
    slot = entry[ENTRY(queue[wg], localIndex[wg], column)];
    assert(slot != NOTHING); /* the host has not written this entry, or has taken it back */
    if
    :: slot != DUMMY ->
      assert(state[slot] == IN_FLIGHT); /* processed twice, or not ours */
      state[slot] = WRITTEN;
      printf("GPU  workgroup %d thread %d: has written packet %d\n", wg, column, slot)
    :: else
    fi;
    slot = 0
  }
}

inline returnFromKernel() {
  running--;
  remaining--
}

inline advance() {
  GpuIndex[queue[wg]] = NEXT(GpuIndex[queue[wg]]);
  printf("GPU  workgroup %d thread 0: GpuIndex of queue %d = %d\n", wg, queue[wg], GpuIndex[queue[wg]])
}

/* GPUSyncer: the first thread of a workgroup. */
proctype FirstThread(byte wg) {
  byte slot;
  bit mine;
  bool served;

start:
  if
  :: atomic {
      toStart[wg] && running + THREADS <= resident * THREADS ->
      toStart[wg] = false;
      running = running + THREADS;
      if
      :: stop || leave -> serve[wg] = false; arrive(); goto meet
      :: else
      fi;
      queue[wg] = ticket % WORKGROUPS;
      ticket++;
      localIndex[wg] = GpuIndex[queue[wg]] /* all the state that a launch takes over */
    }
  :: over -> goto done
  fi;
  atomic {
    started[queue[wg]] = true;
    printf("GPU  workgroup %d: starts, takes queue %d\n", wg, queue[wg])
  }

poll: /* Either may be read first, so both may be seen together and either acted on. */
  if
  :: atomic { AHEAD(CpuIndex[queue[wg]], localIndex[wg]) -> serve[wg] = true; arrive() }
  :: atomic {
      stop || (leave && (served || !AHEAD(CpuIndex[queue[wg]], localIndex[wg]))) ->
      serve[wg] = false;
      printf("GPU  workgroup %d: returns\n", wg);
      arrive()
    }
  fi;

meet:
  if
  :: atomic { phase[wg] != mine && !serve[wg] -> served = false; returnFromKernel(); goto start }
#ifdef PAPER_ORDER
  :: atomic { phase[wg] != mine && serve[wg] -> process(0) }
  fi;
  atomic { advance(); arrive() }
  atomic { phase[wg] != mine -> localIndex[wg] = NEXT(localIndex[wg]); served = true }
#else
  :: atomic { phase[wg] != mine && serve[wg] -> process(0); arrive() }
  fi;
  atomic { phase[wg] != mine -> advance(); localIndex[wg] = NEXT(localIndex[wg]); served = true }
#endif
  goto poll;

done:
  skip
}

/* GPUSyncer: any other thread of a workgroup. */
proctype OtherThread(byte wg; byte column) {
  byte slot;
  bit mine;

  atomic { arrive() }
meet:
  if
  :: over -> goto done
  :: atomic { phase[wg] != mine && !serve[wg] -> returnFromKernel(); arrive(); goto meet }
  :: atomic { phase[wg] != mine && serve[wg] -> process(column); arrive() }
  fi;
  atomic { phase[wg] != mine -> arrive(); goto meet }

done:
  skip
}

#define WAITS(queue) (CpuIndex[queue] != GpuIndex[queue])
#define STRANDED(queue) (WAITS(queue) && !started[queue])
#if WORKGROUPS > 1
#define ANY_STRANDED (STRANDED(0) || STRANDED(1))
#else
#define ANY_STRANDED STRANDED(0)
#endif

/* The kernel is enqueued. Its first ticket goes to the next queue, after the last launch's, in which rows wait. */
inline launch() {
  atomic {
#ifdef TICKET_ZERO
    ticket = 0;
#else
    i = 1;
    do
    :: i < WORKGROUPS && !WAITS((firstQueue + i) % WORKGROUPS) -> i++
    :: else -> break
    od;
    firstQueue = (firstQueue + i) % WORKGROUPS;
    ticket = firstQueue;
#endif
    leave = false;
    round = false;
    for (i : 0 .. WORKGROUPS - 1) {
      started[i] = false;
      toStart[i] = true
    }
    remaining = WORKGROUPS * THREADS;
    select (resident : MIN_RESIDENT .. WORKGROUPS);
    printf("host: launches the kernel, %d workgroup(s) can run at once\n", resident);
    i = 0
  }
}

/* Takes the oldest row in flight in queue q back, as `expected` says: WRITTEN where GpuIndex has passed it, else IN_FLIGHT. */
inline take(expected) {
  d_step {
    n = 0;
    i = 0;
    do
    :: i < THREADS ->
      slot = entry[ENTRY(q, taken[q], i)];
      entry[ENTRY(q, taken[q], i)] = NOTHING;
      if
      :: slot == DUMMY
      :: else ->
        assert(slot < PACKETS);
        printf("host: takes packet %d from queue %d, index %d\n", slot, q, taken[q]);
        if
        :: state[slot] != expected -> printf("host: packet %d has not been written\n", slot)
        :: else
        fi;
        assert(state[slot] == expected);
        state[slot] = FREE;
        n++
      fi;
      i++
    :: else -> break
    od;
    assert(n == packets[ROW(q, taken[q])]);
    taken[q] = NEXT(taken[q]);
    i = 0; n = 0; slot = 0
  }
}

/* Writes the oldest n waiting packets into the next row of queue q, from its first column on or up to its last. */
inline fill() {
  d_step {
    i = 0;
    do
    :: i < THREADS ->
      assert(entry[ENTRY(q, CpuIndex[q], i)] == NOTHING); /* the row is still in flight */
      if
      :: i >= first && i < first + n ->
        slot = (arriving + PACKETS - waiting) % PACKETS;
        assert(state[slot] == WAITING);
        state[slot] = IN_FLIGHT;
        waiting--;
        entry[ENTRY(q, CpuIndex[q], i)] = slot;
        printf("host: writes packet %d to queue %d, index %d, column %d\n", slot, q, CpuIndex[q], i)
      :: else ->
        entry[ENTRY(q, CpuIndex[q], i)] = DUMMY;
        printf("host: writes a dummy to queue %d, index %d, column %d\n", q, CpuIndex[q], i)
      fi;
      i++
    :: else -> break
    od;
    packets[ROW(q, CpuIndex[q])] = n;
    i = 0; n = 0; first = 0; slot = 0; aged = false
  }
}

#define ROOM(queue) (MINUS(CpuIndex[queue], taken[queue]) < DEPTH)
#ifdef ANY_QUEUE
#define MAY_TAKE(queue) ROOM(queue)
#else
#define MAY_TAKE(queue) (started[queue] && ROOM(queue))
#endif
#if WORKGROUPS > 1
#define ANY_STARTED (started[0] || started[1])
#else
#define ANY_STARTED started[0]
#endif

#ifdef SHORT_SLICES
#define SLICE_OVER ANY_STARTED
#else
#define SLICE_OVER round
#endif

#ifdef SLICES
/* The thread that launches the kernel, and raises leave when a slice is over: after any time, or only where it has to. */
proctype Launcher() {
  byte i;

  do
  :: atomic { remaining == 0 && !stop -> launch() }
  :: atomic {
      SLICE_OVER && !leave && !stop ->
      if
      :: true
      :: true -> ANY_STRANDED || stop /* this slice has no end of its own */
      fi;
      if
      :: !stop -> leave = true; round = false; printf("host: raises leave\n")
      :: else
      fi
    }
  :: stop -> break
  od
}
#endif

/* CPUSyncer, and the host around it. */
proctype Host() {
  byte taken[WORKGROUPS];                        /* rows collected, of each queue */
  byte arriving;                                 /* the next slot to receive into: each in its turn */
  byte waiting;
  bool aged;                                     /* a row that is not full has waited for a round */
  byte i, n, q, first, slot;

#ifndef SLICES
  launch();
#endif
  do
  :: atomic {
      /* A packet arrives, or none. */
      if
      :: state[arriving] == FREE ->
        state[arriving] = WAITING;
        printf("host: packet %d arrives\n", arriving);
        arriving = (arriving + 1) % PACKETS;
        waiting++
      :: true
      fi;
      /* Publish a row that is full; one that is not when its deadline comes: now, or in the next round. */
      n = 0;
      if
      :: waiting > 0 ->
        if
        :: leave -> q = NOTHING
        :: MAY_TAKE(0) -> q = 0 /* also when leave has been raised since the host looked */
#if WORKGROUPS > 1
        :: MAY_TAKE(1) -> q = 1
#endif
        :: else -> q = NOTHING
        fi;
        if
        :: q == NOTHING
        :: q != NOTHING && waiting >= THREADS -> n = THREADS
#ifndef NO_DUMMIES
        :: q != NOTHING && waiting < THREADS -> n = waiting; first = 0
        :: q != NOTHING && waiting < THREADS -> n = waiting; first = THREADS - waiting
        :: q != NOTHING && waiting < THREADS && !aged -> aged = true
#else
        :: q != NOTHING && waiting < THREADS
#endif
        fi
      :: else
      fi;
      if
      :: n > 0 ->
        fill();
        CpuIndex[q] = NEXT(CpuIndex[q]);
        printf("host: CpuIndex of queue %d = %d\n", q, CpuIndex[q])
      :: else
      fi;
      q = 0;
      round = ANY_STARTED && !leave
    }

    /* Collect the oldest row of each queue, if it is done. */
    atomic {
      do
      :: q < WORKGROUPS && AHEAD(GpuIndex[q], taken[q]) -> take(WRITTEN); q++
      :: q < WORKGROUPS && !AHEAD(GpuIndex[q], taken[q]) -> q++
      :: else -> break
      od;
      q = 0
    }
  :: atomic { stop = true; printf("host: stops\n"); break }
  od;

  remaining == 0; /* clFinish */
  atomic {
    do
    :: q < WORKGROUPS && CpuIndex[q] == taken[q] -> q++
    :: q < WORKGROUPS && CpuIndex[q] != taken[q] ->
      if /* not AHEAD: `taken` goes past GpuIndex here */
      :: MINUS(CpuIndex[q], taken[q]) > MINUS(CpuIndex[q], GpuIndex[q]) -> take(WRITTEN)
      :: else -> take(IN_FLIGHT)
      fi
    :: else -> break
    od;
    q = 0
  }
  atomic {
    i = 0;
    do
    :: i < PACKETS ->
      assert(state[i] == FREE || state[i] == WAITING); /* left behind */
      state[i] = FREE;
      i++
    :: else -> break
    od;
    over = true
  }
}

init {
  atomic {
    byte i, j;
    for (i : 0 .. WORKGROUPS * DEPTH * THREADS - 1) { entry[i] = NOTHING }
    for (i : 0 .. WORKGROUPS - 1) {
      run FirstThread(i);
      for (j : 1 .. THREADS - 1) { run OtherThread(i, j) }
    }
    i = 0;
    j = 0;
#ifdef SLICES
    run Launcher();
#endif
    run Host()
  }
}

/* Slots are used in turn, so what holds of one holds of all. */
ltl progress { [] (state[0] != FREE -> <> (state[0] == FREE)) }
