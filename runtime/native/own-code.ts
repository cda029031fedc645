/**
 * Machine code per object instead of per function.
 *
 * V8 compiles the constants a function closes over into its code: an array that is one is neither looked up nor checked, and its address
 * and length are in the instructions. That is so while a function has been made once only. Of two ports the loops would share their code,
 * and each access would begin with the array's map, length, address and offset, in every iteration, since a loop may be interrupted.
 */
let made = 0;

/**
 * Calls `make`, which makes a function, as if its text stood in the program once more, so that what it makes has code of its own. `make`
 * must use nothing but its arguments, and copy into constants what the function it makes is to find compiled in.
 */
export function ownCode<A extends unknown[], R>(make: (...args: A) => R, ...args: A): R {
  // The number keeps V8 from finding what it has compiled before.
  const own = new Function(`return ${make.toString()} // ${made++}`) as () => (...args: A) => R;
  return own()(...args);
}
