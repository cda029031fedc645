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
  return compile<A, R>(make.toString())(...args);
}

/**
 * The same with a loop that V8, which unrolls none that writes, would interrupt after each iteration to see whether somebody asks, and to
 * look anew at what is no constant: here it does so after every fourth. Exactly one loop in `make` begins with {@link LOOP}, and goes
 * through to its end: no break, no continue. `count` is an integer of 32 bits.
 *
 * Four calls of a function with the body would not do: where the loop itself is taken into its caller, V8 takes in only so much more, and
 * leaves some of the four as calls, with all their arguments made anew.
 * @throws Error where that loop is not there, or not the only one
 */
export function ownLoop<A extends unknown[], R>(make: (...args: A) => R, ...args: A): R {
  return compile<A, R>(unrolled(make.toString()))(...args);
}

function compile<A extends unknown[], R>(text: string): (...args: A) => R {
  // The number keeps V8 from finding what it has compiled before.
  const own = new Function(`return ${text} // ${made++}`) as () => (...args: A) => R;
  return own();
}

const LOOP = "for (let i = 0; i < count; i++) {";

function unrolled(text: string): string {
  const [before, rest, another] = text.split(LOOP);
  if (rest === undefined || another !== undefined) throw new Error(`found not exactly one "${LOOP}" in ${text}`);
  // Up to the brace that closes the loop; there are none in strings and comments.
  let end = 0;
  for (let open = 1; open > 0; end++) {
    if (rest[end] === "{") open++;
    if (rest[end] === "}") open--;
  }
  const once = `{${rest.slice(0, end)} i = (i + 1) | 0;`;
  return `${before}
    let i = 0;
    for (const last = (count - 3) | 0; i < last;) {
      ${once.repeat(4)}
    }
    while (i < count) {
      ${once}
    }
    ${rest.slice(end)}`;
}
