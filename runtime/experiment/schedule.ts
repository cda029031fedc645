/**
 * In which order the cells of a round are measured. What drifts (temperature, frequency, neighbours) then meets all cells alike, and what a
 * cell leaves behind (caches, a warm or cold processor) meets another one each round.
 */
import { Random } from "../nic/generator/random.js";

/**
 * Rows of a Williams square: within as many rounds as there are cells (twice as many where they are odd) every cell comes at every place
 * and follows each other equally often. Which cell stands where in the square comes from the seed.
 *
 * Source: E. J. Williams, Experimental designs balanced for the estimation of residual effects of treatments, 1949.
 *
 * @param count cells, above 0
 * @param round 0, 1, ...
 * @returns each number below `count` once
 */
export function roundOrder(count: number, round: number, seed: number): number[] {
  const names = shuffled(count, seed);
  const odd = count % 2 === 1;
  // With an odd number every second row is a mirrored one: together they are balanced.
  const row = odd ? round >> 1 : round;
  const order = Array.from({ length: count }, (_, place) => names[(zigzag(place, count) + row) % count]!);
  return odd && round % 2 === 1 ? order.reverse() : order;
}

/** 0, 1, n - 1, 2, n - 2, ...: differences of neighbours are all different. */
function zigzag(place: number, count: number): number {
  if (place === 0) return 0;
  return place % 2 === 1 ? (place + 1) >> 1 : count - (place >> 1);
}

function shuffled(count: number, seed: number): number[] {
  const random = new Random(seed);
  const names = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [names[i], names[j]] = [names[j]!, names[i]!];
  }
  return names;
}
