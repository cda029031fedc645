/** Tests that cannot run on this machine. */

/**
 * Skips the test it is called in where `condition` does not hold:
 * `if (skipUnless(tshark !== undefined, "tshark is not installed: apt-get install tshark")) return;`
 *
 * The runner prints the reason and counts the test as skipped, not as passed.
 *
 * @param condition what the test needs
 * @param reason what is missing, and what would lift it
 * @returns true where the test must return at once
 */
export function skipUnless(condition: boolean, reason: string): boolean {
  if (condition) return false;
  const { WINGBEAT_SKIPS: skips } = globalThis as { WINGBEAT_SKIPS?: string[] };
  if (skips === undefined) console.log(`SKIP ${reason}`);
  else skips.push(reason);
  return true;
}
