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

/** px of a plot without its axes; the page scales it to its own width. */
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

/** A single series needs no legend: the title says what it is. Symbols have no outline, as a dashed one frays them. */
const legend = (series: readonly string[]) =>
  series.length < 2 ? null : { title: null, ...columnsFor(series), symbolOpacity: 1, symbolStrokeWidth: 0 };

function columnsFor(labels: readonly string[]) {
  const longest = Math.max(1, ...labels.map(({ length }) => length));
  const columns = Math.max(1, Math.min(4, Math.floor((WIDTH + 60) / (longest * 6.8 + 45))));
  return { columns, labelLimit: Math.floor(WIDTH / columns) - 20 };
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

/** A log axis from a tick below the values to one above, with ticks at 1, 2 and 5 of each decade, or at 1 where there are many. */
export function logAxis(values: readonly number[]) {
  const known = values.filter((value) => value > 0 && Number.isFinite(value));
  const [low, high] = known.length === 0 ? [1, 10] : [Math.min(...known), Math.max(...known)];
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const digit of [1, 2, 5]) ticks.push(Number(`${digit}e${power}`));
  }
  const from = ticks.findLastIndex((tick) => tick <= low);
  const to = ticks.findIndex((tick) => tick >= high * (high === low ? 1.01 : 1));
  const all = ticks.slice(Math.max(0, from), to < 0 ? ticks.length : to + 1);
  const decades = all.filter((tick) => /^1(?:0*$|e)|^0\.0*1$/.test(String(tick)));
  const shown = all.length > 9 && decades.length > 1 ? decades : all;
  return {
    scale: { type: "log", domain: [all[0]!, all.at(-1)!], nice: false },
    axis: { values: shown, format: "~r" },
  } as const;
}

/** Vega-Lite's type of specs is a union of hundreds; here a spec is an object that its compiler accepts, which the tests see to. */
export function plot(words: Words, spec: object): Plot {
  return { ...words, spec: spec as TopLevelSpec };
}
