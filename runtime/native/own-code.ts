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
  let own: () => (...args: A) => R;
  try {
    // The number keeps V8 from finding what it has compiled before.
    own = new Function(`return ${make.toString()} // ${made++}`) as typeof own;
  } catch (error) {
    // Node runs with --disallow-code-generation-from-strings: the shared code does the same.
    if (error instanceof EvalError) return make(...args);
    throw error;
  }
  return own()(...args);
}
