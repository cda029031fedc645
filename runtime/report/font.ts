/**
 * The font of plots: DejaVu Sans from its npm package. Pictures are drawn with nothing else, and without it their text would vanish without a
 * word; so a font that is not there, or not a font, is an error.
 *
 * Widths come from the font's own tables (ISO/IEC 14496-22 OpenType: head, hhea, hmtx, cmap formats 4 and 12), as Vega without a canvas only
 * guesses them.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { RunError } from "../errors.js";

export interface Font {
  /** Regular and bold. */
  readonly files: readonly string[];
  /** px of a text at a size in px. */
  width(text: string, size: number, bold: boolean): number;
}

const PACKAGE = "dejavu-fonts-ttf";
/** Advance of a glyph the font has not, in em; it is drawn as a box. */
const UNKNOWN = 0.6;
let loaded: Font | undefined;

/** @throws RunError where a file is missing or no font */
export function plotFont(): Font {
  loaded ??= loadFont(["DejaVuSans.ttf", "DejaVuSans-Bold.ttf"].map(locate));
  return loaded;
}

/** @param files of one family: regular, bold @throws RunError */
export function loadFont(files: readonly string[]): Font {
  const [regular, bold] = files.map(advances);
  return {
    files,
    width(text, size, isBold) {
      const table = (isBold ? bold : regular)!;
      let em = 0;
      for (const character of text) em += table.get(character.codePointAt(0)!) ?? UNKNOWN;
      return em * size;
    },
  };
}

function locate(name: string): string {
  try {
    return createRequire(import.meta.url).resolve(`${PACKAGE}/ttf/${name}`);
  } catch {
    throw new RunError("report", `the plots' font ${name} is not there: npm package ${PACKAGE} is missing`, "npm ci");
  }
}

/** Advance by code point, in em. */
function advances(file: string): Map<number, number> {
  try {
    const font = readFileSync(file);
    const table = (tag: string) => {
      const count = font.readUInt16BE(4);
      for (let at = 12; at < 12 + 16 * count; at += 16) {
        if (font.toString("latin1", at, at + 4) === tag) return font.subarray(font.readUInt32BE(at + 8));
      }
      throw new Error(`it has no table ${tag}`);
    };
    const unitsPerEm = table("head").readUInt16BE(18);
    const metrics = table("hhea").readUInt16BE(34);
    const hmtx = table("hmtx");
    // Glyphs behind the last metric have its advance.
    const advance = (glyph: number) => hmtx.readUInt16BE(4 * Math.min(glyph, metrics - 1)) / unitsPerEm;
    return new Map([...glyphs(table("cmap"))].map(([code, glyph]) => [code, advance(glyph)]));
  } catch (error) {
    throw new RunError("report", `${file} cannot be used as a font: ${(error as Error).message}`, "npm ci");
  }
}

function* glyphs(cmap: Buffer): Generator<[code: number, glyph: number]> {
  for (let index = 0; index < cmap.readUInt16BE(2); index++) {
    const subtable = cmap.subarray(cmap.readUInt32BE(4 + 8 * index + 4));
    const format = subtable.readUInt16BE(0);
    if (format === 4) yield* segments(subtable);
    if (format === 12) yield* groups(subtable);
  }
}

function* segments(table: Buffer): Generator<[number, number]> {
  const bytes = table.readUInt16BE(6);
  for (let at = 0; at < bytes; at += 2) {
    const end = table.readUInt16BE(14 + at);
    const start = table.readUInt16BE(16 + bytes + at);
    const delta = table.readUInt16BE(16 + 2 * bytes + at);
    const rangeAt = 16 + 3 * bytes + at;
    const range = table.readUInt16BE(rangeAt);
    for (let code = start; code <= end && code < 0xffff; code++) {
      const glyph = range === 0 ? code : table.readUInt16BE(rangeAt + range + 2 * (code - start));
      if (range === 0 || glyph !== 0) yield [code, (glyph + delta) & 0xffff];
    }
  }
}

function* groups(table: Buffer): Generator<[number, number]> {
  for (let group = 0, at = 16; group < table.readUInt32BE(12); group++, at += 12) {
    const [start, end, glyph] = [0, 4, 8].map((offset) => table.readUInt32BE(at + offset)) as [number, number, number];
    for (let code = start; code <= end; code++) yield [code, glyph + code - start];
  }
}
