/** The live line of a run: a stream of counter snapshots, a rate between each two of them. */
import { interval, map, pairwise, type Subscription, startWith } from "rxjs";
import type { Run } from "../engine/run.js";

const PERIOD_MS = 500;
/** Not a terminal (a log file): one line every so often instead of one that is rewritten. */
const LOG_EVERY = 20;

/** Shows progress on stderr until unsubscribed. */
export function showProgress(run: Run): Subscription {
  const terminal = process.stderr.isTTY === true;
  let ticks = 0;
  return interval(PERIOD_MS)
    .pipe(
      startWith(0),
      map(() => ({ at: performance.now(), ...run.snapshot() })),
      pairwise(),
    )
    .subscribe(([before, now]) => {
      ticks++;
      const seconds = (now.at - before.at) / 1000;
      const mpps = (now.tx - before.tx) / seconds / 1e6;
      const gbps = ((now.rxBytes - before.rxBytes) * 8) / seconds / 1e9;
      const text = `${mpps.toFixed(3)} Mpps, ${gbps.toFixed(3)} Gbps; in ${now.rx}, out ${now.tx}, dropped ${now.dropped}`;
      if (terminal) process.stderr.write(`\r\x1b[K${text}`);
      else if (ticks % LOG_EVERY === 0) process.stderr.write(`${text}\n`);
    });
}

/** Clears the live line. */
export function endProgress(subscription: Subscription): void {
  subscription.unsubscribe();
  if (process.stderr.isTTY === true) process.stderr.write("\r\x1b[K");
}
