/**
 * Figures 6 and 9 of Asada et al., "Roadblocks of I/O Parallelization", drawn from what live-rx-patterns has found: a graph for each pattern, with
 * the sole thread that does not share beside each, as the paper's "Baseline".
 */
import type { Plot } from "../../../runtime/report/document.js";
import { colourOf, inOrder, plot } from "../../../runtime/report/plots/common.js";
import { TONES } from "../../../runtime/report/theme.js";
import type { Figure } from "../../experiment.js";

/** In the paper's order and words. */
const PATTERNS = {
  arbitration: "Arbitration",
  range: "Only range division",
  parent: "Parent and workers",
} as const;
type Pattern = keyof typeof PATTERNS;

/** Parts of a bar from below; what of `entire` is none of them is on top. */
const PARTS = ["hardware access", "CAS and join", "buffer"] as const;
const REST = "rest of entire";
const RX = "RX: all of receiving";
const BASELINE = "baseline";
const PALE = { condition: { test: "datum.crowded", value: 0.45 }, value: 1 };
const GRAPH_WIDTH = 230;
const GRAPH_HEIGHT = 280;

/** Of one thread of one subject: median of each of its figures by name. */
interface Row {
  readonly pattern: Pattern | "default";
  readonly threads: number;
  /** "parent", "thread 0"; undefined: of all of them. */
  readonly role: string | undefined;
  readonly figure: string;
  readonly value: number;
}

function rowsOf(figures: readonly Figure[]): Row[] {
  return figures.flatMap(({ subject, figure, value }) => {
    const [, pattern, threads, role] =
      /^(default|arbitration|range|parent), (\d+) (?:thread|worker)s?(?:: (.+))?$/.exec(subject) ?? [];
    if (pattern === undefined) return [];
    return [{ pattern: pattern as Row["pattern"], threads: Number(threads), role, figure, value: value.median }];
  });
}

/** A row with its place: a graph, a bar, and which of the bars there. */
type Placed = Row & {
  readonly graph: string;
  readonly x: string;
  readonly core: string;
  /** There were more threads than processors. */
  readonly crowded: boolean;
};

/** The baseline is in every graph. @param processors those of the machine, which subjects with more threads take turns on */
function place(rows: readonly Row[], processors: number): Placed[] {
  return (Object.keys(PATTERNS) as Pattern[]).flatMap((graph) =>
    rows
      .filter(({ pattern }) => pattern === graph || pattern === "default")
      .map((row) => {
        // The thread that plays the NIC, and a parent.
        const all = row.threads + 1 + (row.pattern === "parent" ? 1 : 0);
        const x = row.pattern === "default" ? BASELINE : `${row.threads}`;
        return { ...row, graph: PATTERNS[graph], x, core: coreOf(row), crowded: all > processors };
      }),
  );
}

/** "core 1" and so on take packets, whatever else there is. */
function coreOf({ pattern, role }: Row): string {
  const thread = /^thread (\d+)$/.exec(role ?? "")?.[1];
  return thread === undefined ? "parent" : `core ${Number(thread) + (pattern === "parent" ? 0 : 1)}`;
}

/** None of what has no row among them. @param cores processors of the machine they were measured on */
export function patternPlots(figures: readonly Figure[], cores: number): Plot[] {
  const rows = place(rowsOf(figures), cores);
  const timed = rows.filter(({ role, figure }) => role !== undefined && figure === "rx");
  const received = rows.filter(({ figure }) => figure === "received");
  return [
    ...(timed.length === 0 ? [] : [stages(rows.filter(({ role }) => role !== undefined))]),
    ...(received.length === 0 ? [] : [rates(received)]),
  ];
}

function stages(rows: readonly Placed[]): Plot {
  const bars = new Map<string, Placed[]>();
  for (const row of rows) {
    const key = [row.graph, row.x, row.core].join();
    bars.set(key, [...(bars.get(key) ?? []), row]);
  }
  const values = [...bars.values()].flatMap((bar) => {
    const { graph, x, core, crowded } = bar[0]!;
    const of = (figure: string) => bar.find((row) => row.figure === figure)?.value;
    const rx = of("rx");
    if (rx === undefined) return [];
    // A parent does nothing but receive.
    const entire = of("entire") ?? rx;
    const parts = PARTS.map((series) => ({ series: series as string, y: of(series) ?? 0 }));
    const known = parts.reduce((sum, { y }) => sum + y, 0);
    parts.push({ series: REST, y: Math.max(0, entire - known) });
    const letter = core === "parent" ? "P" : core.slice(-1);
    const top = Math.max(known, entire);
    return parts.map((part, order) => ({ ...part, graph, x, core, crowded, order, rx, name: RX, letter, top }));
  });
  const once = { filter: "datum.order === 0" };
  return graphs(
    {
      id: "rx-patterns-stages",
      title: "What receiving a packet costs each core (Asada et al., Figure 6)",
      caption: "ns per packet by stage; a bar for each core, P the parent.",
      alt: "Stacked bars of the stages of receiving, for each pattern and number of cores.",
    },
    values,
    [
      {
        mark: { type: "bar", stroke: TONES.background.light, strokeWidth: 0.5 },
        encoding: {
          y: { field: "y", type: "quantitative", stack: "zero", title: "ns per packet" },
          color: colourOf([...PARTS, REST]),
          order: { field: "order", type: "quantitative" },
          opacity: PALE,
        },
      },
      stroke("rx", RX, once),
      {
        transform: [once],
        mark: { type: "text", dy: -7, fontSize: 10 },
        encoding: { y: { field: "top", type: "quantitative" }, text: { field: "letter" } },
      },
    ],
    {
      xOffset: {
        field: "core",
        type: "nominal",
        scale: { domain: inOrder(values.map(({ core }) => core)).sort(parentFirst) },
      },
    },
  );
}

/** What a parent does comes before what its workers do. */
const parentFirst = (a: string, b: string) =>
  Number(b === "parent") - Number(a === "parent") || a.localeCompare(b, "en");

function rates(rows: readonly Placed[]): Plot {
  const totals = rows.filter(({ role }) => role === undefined);
  const parts = rows.filter(({ role }) => role !== undefined);
  const series = inOrder(parts.map(({ core }) => core)).sort();
  const values = [
    ...parts.map(({ graph, x, crowded, core, value }) => {
      return { ...{ graph, x, crowded, series: core }, y: value, order: series.indexOf(core) };
    }),
    // Medians of cores do not add up to the median of all.
    ...totals.map(({ graph, x, crowded, value }) => ({ graph, x, crowded, total: value, name: "all cores" })),
  ];
  return graphs(
    {
      id: "rx-patterns-throughput",
      title: "Packets received per second by each core (Asada et al., Figure 9)",
      caption: "Mpps of each core, stacked; the stroke is what all received together.",
      alt: "Stacked bars of packets per second of each core, for each pattern and number of cores.",
    },
    values,
    [
      {
        transform: [{ filter: "isValid(datum.y)" }],
        mark: { type: "bar", stroke: TONES.background.light, strokeWidth: 0.5 },
        encoding: {
          y: { field: "y", type: "quantitative", stack: "zero", title: "Mpps" },
          color: colourOf(series),
          order: { field: "order", type: "quantitative" },
          opacity: PALE,
        },
      },
      stroke("total", "all cores", { filter: "isValid(datum.total)" }),
    ],
  );
}

/** A mark across a bar at the height of a field. @param name in the legend, and in the field `name` */
function stroke(field: string, name: string, transform: object): object {
  return {
    transform: [transform],
    mark: { type: "tick", thickness: 2.5, color: TONES.text.light, opacity: 1 },
    encoding: {
      y: { field, type: "quantitative" },
      stroke: {
        field: "name",
        type: "nominal",
        scale: { domain: [name], range: [TONES.text.light] },
        legend: { title: null, symbolType: "stroke", symbolStrokeWidth: 3 },
      },
    },
  };
}

/** Side by side, with one scale, so that heights compare. */
function graphs(
  words: Omit<Plot, "spec">,
  values: readonly { readonly x: string; readonly graph: string; readonly crowded: boolean }[],
  layer: readonly object[],
  offset: object = {},
): Plot {
  const domain = inOrder(values.map(({ x }) => x)).sort((a, b) => order(a) - order(b));
  const pale = values.some(({ crowded }) => crowded) ? " (pale: more than processors)" : "";
  return plot(words, {
    data: { values },
    facet: {
      column: {
        field: "graph",
        type: "nominal",
        title: null,
        sort: inOrder(values.map(({ graph }) => graph)),
        header: { labelPadding: 8 },
      },
    },
    spacing: 24,
    spec: {
      width: GRAPH_WIDTH,
      height: GRAPH_HEIGHT,
      encoding: {
        x: {
          field: "x",
          type: "nominal",
          title: `cores${pale}`,
          scale: { domain, paddingInner: 0.2, paddingOuter: 0.15 },
        },
        ...offset,
      },
      layer,
    },
  });
}

const order = (x: string) => (x === BASELINE ? 0 : Number.parseInt(x, 10));
