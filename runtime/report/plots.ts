/**
 * Plots of reports, by what they show. Each takes words and plain numbers; colours, shapes and fonts are the theme's. The order of series and
 * categories is that of their first points, so the same series given in the same order has the same colour in every plot of a report.
 */
export { type BarPoint, groupedBars, intervalPoints, type Reference } from "./plots/bars.js";
export type { Axis, Point, Words } from "./plots/common.js";
export { type CurvePoint, type CurveScales, curves, timeLine } from "./plots/curves.js";
export { type LatencyPoint, latencyByLoad } from "./plots/latency.js";
export { type ParetoPoint, pareto } from "./plots/pareto.js";
export { type Share, stackedShares } from "./plots/shares.js";
