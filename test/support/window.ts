/**
 * A sender that keeps a window: on a wire nothing holds it back, so it is told what has come out at the far end, and sends no more than fits into
 * the rings between. What is missed then is a fault, however busy the machine is.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { until, type Veth } from "./veth.js";

/** Bytes of a pcap file's header, and of a record's. */
const FILE_HEADER = 24;
const RECORD_HEADER = 16;

/** A capture file cut into captures of `frames` records each. */
export function* pieces(
  file: string,
  frames: number,
): Generator<{ readonly capture: Buffer; readonly frames: number }> {
  const bytes = readFileSync(file);
  const header = bytes.subarray(0, FILE_HEADER);
  for (let at = FILE_HEADER; at < bytes.length; ) {
    const from = at;
    let count = 0;
    for (; count < frames && at < bytes.length; count++) at += RECORD_HEADER + bytes.readUInt32LE(at + 8);
    yield { capture: Buffer.concat([header, bytes.subarray(from, at)]), frames: count };
  }
}

/**
 * Plays a capture on `from` by tcpreplay, at most `window` frames ahead of those that have come to `to`. Every frame must come there.
 * @param window a multiple of 2
 * @returns frames sent
 */
export async function replayInWindow(
  space: Veth,
  file: string,
  { from, to, window }: { readonly from: string; readonly to: string; readonly window: number },
): Promise<number> {
  let sent = 0;
  for (const { capture, frames } of pieces(file, window / 2)) {
    const most = sent - window / 2;
    await until(
      () => space.received(to) >= most,
      `${most} frames at ${to}`,
      () => `${space.received(to)} after ${sent} were sent`,
    );
    const { status, stderr } = spawnSync(
      "ip",
      ["netns", "exec", space.name, "tcpreplay", "-q", "-i", from, "--topspeed", "-"],
      { input: capture, encoding: "utf8" },
    );
    if (status !== 0) throw new Error(`tcpreplay ended with ${status}: ${stderr}`);
    sent += frames;
  }
  await until(
    () => space.received(to) >= sent,
    `${sent} frames at ${to}`,
    () => `${space.received(to)}`,
  );
  return sent;
}
