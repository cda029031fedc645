/** What a packet at half load stands for; in a file of its own, since a thread's file is a program. */
const WORK_STEPS = 2000;

/** What an item is at half load: 2 us or so on a processor of today, whatever else the machine does. */
export function work(): number {
  let x = 1;
  for (let i = 0; i < WORK_STEPS; i++) x = (x ^ (x << 5)) + i;
  return x;
}
