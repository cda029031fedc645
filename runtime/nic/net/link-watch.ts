import { RunError } from "../../errors.js";
import type { PortContext } from "../port.js";
import { type LinkState, linkState, type NetInterface, nameOf, queuesOf } from "./interface.js";

/** Looks at an interface that is renamed at the very time, one name after the other. */
const MOST_TRIES = 10;

const stateOf = (name: string | undefined): LinkState => (name === undefined ? "gone" : linkState(name));

/**
 * Says when a link goes down and comes back, where the port waits meanwhile, and when the interface gets another name; once, where several
 * threads have the port open.
 */
export class LinkWatch {
  /** The interface is of no use any more, and the run has been told. */
  over = false;
  private state: LinkState = "up";
  private name: string;

  /** @param allQueues the port receives from each of the interface's queues, by a socket for each */
  constructor(
    private readonly device: NetInterface,
    private readonly context: Pick<PortContext, "name" | "warn" | "fail" | "receiver">,
    private readonly allQueues = false,
  ) {
    this.name = device.name;
    this.look();
  }

  /** Ends the run where the interface is gone, which it does not come back from, or has queues that nobody receives from. */
  look(): void {
    if (this.over) return;
    const { device } = this;
    let name = nameOf(device.index);
    let state = stateOf(name);
    // It may get another name between the two questions, and none is called so then: its index says whether it is there.
    for (let tries = 0; state === "gone" && name !== undefined && tries < MOST_TRIES; tries++) {
      name = nameOf(device.index);
      state = stateOf(name);
    }
    if (name === undefined || state === "gone") {
      this.end(`the interface ${this.name} is gone`, "start again when it is back");
      return;
    }
    if (name !== this.name) {
      this.say(`the interface ${this.name} is called ${name} now`);
      this.name = name;
    }
    if (state !== this.state) {
      this.state = state;
      this.say(`the link of ${name} is ${state === "up" ? "up again" : "down; waiting for it"}`);
    }
    if (this.allQueues) this.count(name);
  }

  private say(what: string): void {
    const { name, receiver, warn } = this.context;
    if ((receiver?.index ?? 0) === 0) warn(`port ${name}: ${what}`);
  }

  /** Packets of a queue without a socket go to the kernel, uncounted. */
  private count(name: string): void {
    const queues = queuesOf(name);
    const had = this.device.queues;
    if (queues <= had) return;
    const problem = `${name} has ${queues} queues now and had ${had}; packets of the new ones go past this run`;
    this.end(problem, "start again: a run takes the queues that are there when it starts");
  }

  private end(problem: string, remedy: string): void {
    this.over = true;
    const error = new RunError(`port ${this.context.name}`, problem, remedy);
    if (this.context.fail === undefined) throw error;
    this.context.fail(error.message);
  }
}
