/** Generated traffic into a capture file: what `wingbeat gen OUT` does. */
import { validate } from "../../validate.js";
import { CaptureWriter } from "../pcap/writer.js";
import { HEADER_WORDS, strideOf } from "../store.js";
import { NominalClock } from "./clock.js";
import { type GeneratorInput, generatorOptions } from "./options.js";
import { makeTraffic } from "./traffic.js";

/** What a capture came to. */
export interface Generated {
  packets: number;
  /** Frame bytes, layer 2 without FCS. */
  bytes: number;
}

/**
 * Writes `options.count` packets; pcap, pcapng or either with .gz, by the name.
 * @param warn one line for the user
 * @throws ConfigError for wrong options or a file that cannot be created, RunError where the disk is full
 */
export function generate(out: string, options: GeneratorInput, warn: (line: string) => void = () => {}): Generated {
  const parsed = validate(generatorOptions, options, "gen");
  // Everything that can be wrong about the options is known before the file is emptied.
  const store = makeTraffic(parsed, "gen", warn);
  const writer = new CaptureWriter(out);
  try {
    const clock = new NominalClock(parsed.pps);
    let left = parsed.count;
    while (left > 0) {
      for (const block of store.blocks) {
        for (let at = 0; at < block.used && left > 0; left--) {
          const bytes = block.u32[at >> 2]! & 0xffff;
          writer.record(block, at + HEADER_WORDS * 4, bytes, clock.sec, clock.nsec);
          clock.advance();
          at += strideOf(bytes);
        }
      }
    }
  } finally {
    writer.close();
  }
  return { packets: writer.packets, bytes: writer.bytes };
}
