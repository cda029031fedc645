/** Words that are copied at a time. */
const PIECE_WORDS = 2 ** 22;

/**
 * Writes words into a buffer with COPY_DST, from its word `at` on. Dawn's binding reads at address 0 where it is given a view of a
 * SharedArrayBuffer, in which NFs keep their tables; those are copied first, piece by piece.
 */
export function writeWords(queue: GPUQueue, buffer: GPUBuffer, at: number, words: Uint32Array): void {
  if (words.buffer instanceof ArrayBuffer) {
    queue.writeBuffer(buffer, 4 * at, words as Uint32Array<ArrayBuffer>);
    return;
  }
  for (let first = 0; first < words.length; first += PIECE_WORDS) {
    queue.writeBuffer(buffer, 4 * (at + first), new Uint32Array(words.subarray(first, first + PIECE_WORDS)));
  }
}
