/** A capture file as a sending port: frames get the capture time they came with, and their length as length on the wire. */
import { SLOT_SHIFT } from "../../packet/arena.js";
import type { PortContext, TxPort } from "../port.js";
import { CaptureWriter } from "./writer.js";

/** Creates or empties the file. @throws ConfigError where that is not possible */
export function openCaptureTx(file: string, context: PortContext): TxPort {
  return new CaptureTx(new CaptureWriter(file), context);
}

class CaptureTx implements TxPort {
  constructor(
    private readonly writer: CaptureWriter,
    private readonly context: PortContext,
  ) {}

  transmit(slots: Uint32Array, count: number): void {
    const { writer } = this;
    const { arena } = this.context;
    const { off, len, tsSec, tsNsec } = arena;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      writer.record(arena, (slot << SLOT_SHIFT) + off[slot]!, len[slot]!, tsSec[slot]!, tsNsec[slot]!);
    }
  }

  flush(): void {
    this.writer.flush();
  }

  async close(): Promise<void> {
    this.writer.close();
  }
}
