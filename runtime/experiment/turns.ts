/** Searches of several cells, trial by trial in turns: what drifts meanwhile meets all of them alike. */

/** One measurement that a task waits for. */
interface Request<Answer> {
  readonly ask: () => Promise<Answer>;
  readonly resolve: (answer: Answer) => void;
}

/** What a task measures by: one at a time. */
export type Measure<Answer> = (ask: () => Promise<Answer>) => Promise<Answer>;

/**
 * Runs tasks of which each measures now and then; only one measures at a time, and each that wants to does so once before one does it again.
 * @returns what the tasks return, in their order
 * @throws what the first task or measurement throws; the others are not gone on with
 */
export async function inTurns<Answer, Result>(
  tasks: readonly ((measure: Measure<Answer>) => Promise<Result>)[],
): Promise<Result[]> {
  const waiting: (Request<Answer> | undefined)[] = tasks.map(() => undefined);
  /** Tasks that are neither waiting nor done. */
  let working = tasks.length;
  let left = tasks.length;
  let allWait = () => {};
  const pause = () => {
    working--;
    if (working === 0) allWait();
  };
  const running = tasks.map(async (task, i) => {
    const measure: Measure<Answer> = (ask) =>
      new Promise((resolve) => {
        waiting[i] = { ask, resolve };
        pause();
      });
    const result = await task(measure);
    left--;
    pause();
    return result;
  });
  const serve = async (): Promise<void> => {
    while (left > 0) {
      if (working > 0) {
        await new Promise<void>((resolve) => {
          allWait = resolve;
        });
      }
      for (const [i, request] of waiting.entries()) {
        if (request === undefined) continue;
        waiting[i] = undefined;
        const answer = await request.ask();
        working++;
        request.resolve(answer);
      }
    }
  };
  const results = Promise.all(running);
  // A task that throws never pauses: the race is over then.
  await Promise.race([serve(), results]);
  return results;
}
