/** What plots have in common: words, axes, series. */
import type { TopLevelSpec } from "vega-lite";
import type { Plot } from "../document.js";
import { DASHES, SERIES, SHAPES } from "../theme.js";

/** All of a plot but its picture. */
export type Words = Omit<Plot, "spec">;

export interface Axis {
  readonly name: string;
  readonly unit?: string;
}

/** A value with its confidence interval; without ends, or with infinite ones, no interval is drawn. */
export interface Point {
  readonly series: string;
  readonly y: number;
  readonly low?: number;
  readonly high?: number;
}

/** Points a px wide plot is as wide as the page's text. */
export const WIDTH = 640;
export const HEIGHT = 300;

export function axisTitle({ name, unit }: Axis): string {
  return unit === undefined ? name : `${name} (${unit})`;
}

/** The values that are there, in the order of their first appearance. */
export function inOrder<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}

/** The points as a plot's data: intervals only where both ends are known. Vega would draw what is not finite at the axis. */
export function withIntervals<T extends Point>(points: readonly T[]): (T & { readonly interval: boolean })[] {
  return points
    .filter(({ y }) => Number.isFinite(y))
    .map(({ low, high, ...point }) => {
      const interval = Number.isFinite(low) && Number.isFinite(high);
      return { ...point, ...(interval ? { low, high } : {}), interval } as T & { readonly interval: boolean };
    });
}

export function seriesOf(points: readonly { readonly series: string }[]): string[] {
  return inOrder(points.map(({ series }) => series));
}

/** More series than colours begin anew, with another shape and dash. */
const cycle = <T>(values: readonly T[], count: number, shift: number): T[] =>
  Array.from(
    { length: count },
    (_, index) => values[(index + shift * Math.floor(index / values.length)) % values.length]!,
  );

/** A single series needs no legend: the title says what it is. */
const legend = (series: readonly string[]) => (series.length < 2 ? null : { title: null, columns: columnsFor(series) });

export function columnsFor(labels: readonly string[]): number {
  const longest = Math.max(1, ...labels.map(({ length }) => length));
  return Math.max(1, Math.min(4, Math.floor((WIDTH + 60) / (longest * 7.5 + 45))));
}

export function colourOf(series: readonly string[]) {
  const range = cycle(
    SERIES.map(({ light }) => light),
    series.length,
    0,
  );
  return { field: "series", type: "nominal", scale: { domain: [...series], range }, legend: legend(series) } as const;
}

export function shapeOf(series: readonly string[]) {
  const range = cycle(SHAPES, series.length, 3);
  return { field: "series", type: "nominal", scale: { domain: [...series], range }, legend: legend(series) } as const;
}

export function dashOf(series: readonly string[]) {
  const range = cycle(DASHES, series.length, 3);
  return { field: "series", type: "nominal", scale: { domain: [...series], range }, legend: legend(series) } as const;
}

/** Vega-Lite's type of specs is a union of hundreds; here a spec is an object that its compiler accepts, which the tests see to. */
export function plot(words: Words, spec: object): Plot {
  return { ...words, spec: spec as TopLevelSpec };
}
