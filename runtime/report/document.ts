/**
 * A report as a document: what `compare`, `power` and `paper` have to say, apart from how it looks. write.ts makes of it one HTML page, PNGs,
 * CSV and JSON.
 */
import type { TopLevelSpec } from "vega-lite";

export interface Plot {
  /** Name of its PNG without the extension: letters, digits and hyphens, unique in the document. */
  readonly id: string;
  readonly title: string;
  /** What it shows and how to read it, a sentence or two. */
  readonly caption: string;
  /** For who cannot see it: the finding in words. */
  readonly alt: string;
  /** Its data is inline. Colours, fonts and background come from the report's theme: none here. */
  readonly spec: TopLevelSpec;
}

/** Numbers are shown with the column's digits, and right-aligned; null is an empty cell. */
export type TableValue = string | number | null;

export interface Column {
  readonly name: string;
  readonly unit?: string;
  /** Digits behind the point; absent: three significant ones. */
  readonly digits?: number;
}

export interface Table {
  readonly title: string;
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly TableValue[])[];
  /** Indices of rows to be seen first (the best, a refusal). */
  readonly marked?: readonly number[];
}

export interface Section {
  readonly heading: string;
  readonly text?: readonly string[];
  readonly plots?: readonly Plot[];
  readonly tables?: readonly Table[];
}

/** Rows of samples, each a CSV file beside the page. */
export interface DataFile {
  /** Without extension. */
  readonly name: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly TableValue[])[];
}

export interface ReportDocument {
  readonly title: string;
  /** One line under it: chain, machine, date. */
  readonly subtitle: string;
  /** For who reads nothing else: plain sentences, the answer first. */
  readonly summary: readonly string[];
  /** What qualifies the figures: emulated device, noisy machine, nominal energy, few repeats. Shown at the top. */
  readonly warnings: readonly string[];
  readonly sections: readonly Section[];
  readonly manifest: Manifest;
  readonly data: readonly DataFile[];
  /** The verb's result, as `--json` writes it. */
  readonly result: unknown;
}

/** Where, with what and how something was measured: what it takes to repeat it. */
export interface Manifest {
  readonly verb: string;
  /** As typed. */
  readonly command: readonly string[];
  readonly version: string;
  /** Of the project's checkout, where it is one; null else. */
  readonly commit: string | null;
  readonly started: string;
  readonly ended: string;
  readonly seed: number;
  /** SHA-256 over the chain and every file it names. */
  readonly config_hash: string;
  /** Paths with the SHA-256 of their content. */
  readonly files: readonly { readonly path: string; readonly sha256: string }[];
  readonly machine: {
    readonly hostname: string;
    readonly cpu: string;
    readonly cores: number;
    readonly memory_bytes: number;
    readonly virtual: boolean;
    readonly kernel: string;
    readonly os: string;
    /** null where the machine does not say. */
    readonly governor: string | null;
    readonly node: string;
    readonly load_average: readonly number[];
  };
  readonly devices: readonly { readonly name: string; readonly emulated: boolean; readonly detail: string }[];
  readonly libraries: readonly { readonly name: string; readonly version: string }[];
  readonly meters: readonly { readonly name: string; readonly provenance: string; readonly note: string }[];
  readonly warnings: readonly string[];
}
