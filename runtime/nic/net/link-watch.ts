import { RunError } from "../../errors.js";
import type { PortContext } from "../port.js";
import { type LinkState, linkState, type NetInterface } from "./interface.js";

/** Says when a link goes down and comes back, once where several threads have the port open; the port waits meanwhile. */
export class LinkWatch {
  private state: LinkState = "up";

  constructor(
    private readonly device: NetInterface,
    private readonly context: Pick<PortContext, "name" | "warn" | "receiver">,
  ) {
    this.look();
  }

  /** @throws RunError where the interface is gone, which it does not come back from */
  look(): void {
    const { device, context } = this;
    const state = linkState(device.name);
    if (state === this.state) return;
    this.state = state;
    const where = `port ${context.name}`;
    if (state === "gone")
      throw new RunError(where, `the interface ${device.name} is gone`, "start again when it is back");
    if ((context.receiver?.index ?? 0) > 0) return;
    context.warn(`${where}: the link of ${device.name} is ${state === "up" ? "up again" : "down; waiting for it"}`);
  }
}
