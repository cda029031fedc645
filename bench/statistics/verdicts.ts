/**
 * Simulates how often two sessions of `compare` agree: node dist/bench/statistics/verdicts.js [SESSIONS] [SEED]
 * Rows: machines of machine.ts, repeats, true effects. Every session asks 21 questions (seven sizes, three metrics).
 */
import { terminalTable } from "../table.js";
import { MACHINES } from "./machine.js";
import { repeatability } from "./repeatability.js";

const QUESTIONS = 21;
const EFFECTS = [0, 0.02, 0.05, 0.1, 0.2, 0.5, 1];

const only = process.argv[4]?.split(",");
const sessions = Number(process.argv[2] ?? 400);
const seed = Number(process.argv[3] ?? Math.floor(Math.random() * 2 ** 32));
console.log(`seed ${seed}, ${sessions} pairs of sessions with ${QUESTIONS} questions in each row; shares in %`);
const percent = (share: number) => (100 * share).toFixed(2);
const rows: string[][] = [];
for (const [name, model] of Object.entries(MACHINES)) {
  if (only !== undefined && !only.includes(name)) continue;
  for (const repeats of [3, 5, 7, 10]) {
    for (const effect of [...EFFECTS, "any"] as const) {
      const truth = (random: { fraction(): number }) =>
        Array.from({ length: QUESTIONS }, () =>
          effect === "any" ? Math.log(4) * (2 * random.fraction() - 1) : Math.log1p(effect),
        );
      const { contrary, oneSided, agreed, wrong, sessionsWrong } = repeatability({
        model,
        truth,
        repeats,
        sessions,
        seed,
      });
      const label = effect === "any" ? "0.25 .. 4, log-uniform" : `${100 * effect} %`;
      rows.push([name, String(repeats), label, ...[contrary, oneSided, agreed, wrong, sessionsWrong].map(percent)]);
    }
  }
}
const head = [
  "machine",
  "repeats",
  "true difference",
  "contrary",
  "one-sided",
  "agreed",
  "wrong verdicts",
  "sessions with one",
];
console.log(terminalTable({ head, rows, right: [1, 3, 4, 5, 6, 7] }));
