/** Numbers as tables show them. */
import type { Column, Table, TableValue } from "./document.js";

const SIGNIFICANT = 3;

/** With the column's digits; without, at least three significant ones: 0.00123, 1.23, 123, 12,345. What is not finite is a dash. */
export function formatNumber(value: number, digits?: number): string {
  if (!Number.isFinite(value)) return "–";
  const fixed = digits ?? (value === 0 ? 0 : SIGNIFICANT - 1 - Math.floor(Math.log10(Math.abs(value))));
  // Below a millionth, zeros would hide the number.
  if (digits === undefined && fixed > 8) return value.toExponential(SIGNIFICANT - 1);
  const [whole = "", fraction] = Math.abs(value)
    .toFixed(Math.min(100, Math.max(0, fixed)))
    .split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  const text = fraction === undefined ? grouped : `${grouped}.${fraction}`;
  return value < 0 && /[1-9]/.test(text) ? `−${text}` : text;
}

/** "8.46 [8.31, 8.60]", which breaks only before the bracket; a bound that is not known is "?". */
export function formatInterval(median: number, low: number | null, high: number | null, digits?: number): string {
  const bound = (value: number | null) =>
    value === null || !Number.isFinite(value) ? "?" : formatNumber(value, digits);
  return low === null && high === null
    ? formatNumber(median, digits)
    : `${formatNumber(median, digits)} [${bound(low)},\u00a0${bound(high)}]`;
}

export function formatCell(value: TableValue, { digits }: Column): string {
  if (value === null) return "";
  return typeof value === "number" ? formatNumber(value, digits) : value;
}

const NUMBER_LIKE = /^[-−+]?(?:[\d.,]+(?:e[-+]?\d+)?|–)(?: ?[×%])?(?: ?\[[^\]]*\])?$/;

/** Whether a column is set flush right: numbers, and texts that are numbers with intervals or signs. */
export function isNumeric(table: Table, column: number): boolean {
  const values = table.rows.map((row) => row[column] ?? null).filter((value) => value !== null && value !== "");
  return values.length > 0 && values.every((value) => typeof value === "number" || NUMBER_LIKE.test(value as string));
}
