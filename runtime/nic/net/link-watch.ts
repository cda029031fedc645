import { RunError } from "../../errors.js";
import type { PortContext } from "../port.js";
import { type LinkState, linkState, type NetInterface, nameOf, queuesOf } from "./interface.js";

/** Says when a link goes down and comes back, where the port waits meanwhile, and when the interface gets another name. */
export class LinkWatch {
  private state: LinkState = "up";
  private name: string;

  /** @param allQueues the port receives from each of the interface's queues, by a socket for each */
  constructor(
    private readonly device: NetInterface,
    private readonly context: Pick<PortContext, "name" | "warn">,
    private readonly allQueues = false,
  ) {
    this.name = device.name;
    this.look();
  }

  /** @throws RunError where the interface is gone, which it does not come back from, or has queues that nobody receives from */
  look(): void {
    const { device, context } = this;
    const where = `port ${context.name}`;
    const name = nameOf(device.index);
    const state = name === undefined ? "gone" : linkState(name);
    if (name === undefined || state === "gone")
      throw new RunError(where, `the interface ${this.name} is gone`, "start again when it is back");
    if (name !== this.name) {
      context.warn(`${where}: the interface ${this.name} is called ${name} now`);
      this.name = name;
    }
    if (state !== this.state) {
      this.state = state;
      context.warn(`${where}: the link of ${name} is ${state === "up" ? "up again" : "down; waiting for it"}`);
    }
    if (this.allQueues) this.count(name, where);
  }

  /** Packets of a queue without a socket go to the kernel, uncounted. */
  private count(name: string, where: string): void {
    const queues = queuesOf(name);
    if (queues <= this.device.queues) return;
    const problem = `${name} has ${queues} queues now and had ${this.device.queues}; the new ones would be lost`;
    throw new RunError(where, problem, "start again: a run takes the queues that are there when it starts");
  }
}
