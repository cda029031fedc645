import koffi from "koffi";

/** Lets other threads of this processor go first (sched_yield(2)): what a thread does between two polls that must not sleep. */
export const yieldCpu = koffi.load("libc.so.6").func("int sched_yield()") as () => number;
