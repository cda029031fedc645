/** How power is put in words: nominal figures are called so in every title, axis and column. */
import type { PowerResult } from "../../experiment/power-result.js";

export const NANO = 1e9;

/** "nominal power" */
export function called({ meter }: PowerResult, what: string): string {
  return meter.provenance === "nominal" ? `nominal ${what}` : what;
}

export function capital(text: string): string {
  return text.replace(/^./, (first) => first.toUpperCase());
}
