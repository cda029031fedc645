/** CSV by RFC 4180: a header line, CRLF, quotes where they are needed. Numbers in full, null as nothing. */
import type { DataFile, TableValue } from "./document.js";
import { clean } from "./text.js";

export function csv({ columns, rows }: Pick<DataFile, "columns" | "rows">): string {
  return [columns, ...rows].map((row) => `${row.map(field).join(",")}\r\n`).join("");
}

function field(value: TableValue): string {
  if (value === null) return "";
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : "";
  // Spreadsheets take a text that begins so for a formula, and run it; a single quote in front makes it text to them.
  const text = /^[=+@\t\r-]/.test(value) ? `'${clean(value)}` : clean(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
