/** `--sizes`: the frame sizes an experiment goes through. */
import { ConfigError } from "../errors.js";
import { MIN_FRAME } from "../nic/generator/values.js";
import { MAX_FRAME } from "../packet/arena.js";
import type { FrameSize } from "./cell.js";

/** The sizes of the Hummingbird paper's figures, an IMIX, and no size of its own: what `--sizes all` stands for. */
export const ALL_SIZES: readonly FrameSize[] = [64, 128, 256, 512, 1024, 1472, "imix", "as-is"];

const TAKES = `frame sizes from ${MIN_FRAME} to ${MAX_FRAME} bytes (layer 2 without FCS), imix, as-is (the input as it stands), or all, separated by commas`;

/**
 * "64,512,imix,as-is", in the order given, each once.
 * @throws ConfigError naming what is out of range or no size
 */
export function parseSizes(text: string): FrameSize[] {
  const sizes = new Set<FrameSize>();
  for (const part of text.split(",")) {
    const word = part.trim().toLowerCase();
    if (word === "all") for (const size of ALL_SIZES) sizes.add(size);
    else if (word === "imix" || word === "as-is") sizes.add(word);
    else if (/^\d+$/.test(word)) sizes.add(checkSize(Number(word)));
    else throw new ConfigError("--sizes", `found "${part.trim()}"`, `give ${TAKES}`);
  }
  return [...sizes];
}

/** @throws ConfigError where a frame of this many bytes is too short for Ethernet, or too long for a slot */
export function checkSize(size: number): number {
  if (size >= MIN_FRAME && size <= MAX_FRAME && Number.isInteger(size)) return size;
  const why = size < MIN_FRAME ? "less than a frame of Ethernet has" : "more than a packet slot holds";
  throw new ConfigError("--sizes", `${size} bytes are ${why}`, `give ${TAKES}`);
}
