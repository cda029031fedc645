/** What ports of one chain cannot both have of a network interface; found before anything is opened. */
import { ConfigError } from "../errors.js";
import type { PortConfig } from "./drivers.js";

interface UsedPort {
  readonly name: string;
  readonly config: PortConfig;
  readonly rx: boolean;
}

/** @throws ConfigError where two AF_XDP ports receive from one interface, which has one XDP program, or share a queue, which has one socket */
export function checkInterfaces(where: string, ports: readonly UsedPort[]): void {
  const seen: UsedPort[] = [];
  for (const port of ports) {
    const { config, rx, name } = port;
    if (config.driver !== "xdp") continue;
    for (const other of seen) {
      if (other.config.driver !== "xdp" || other.config.interface !== config.interface) continue;
      if (rx && other.rx) {
        const problem = `${other.name} and ${name} both receive from ${config.interface}, which has one XDP program`;
        throw new ConfigError(
          where,
          problem,
          "one port without `queue` receives from all queues; or use the packet driver",
        );
      }
      const [a, b] = [queueOf(other), queueOf(port)];
      if (a !== undefined && b !== undefined && a !== b) continue;
      const problem = `${other.name} and ${name} both use queue ${a ?? b ?? 0} of ${config.interface}, which has one socket`;
      const both = 'one port of another name that receives and sends ("dir": "both" in the chain file)';
      throw new ConfigError(where, problem, `${both}, or another queue for one of them: queue=N`);
    }
    seen.push(port);
  }
}

/** Undefined: all of them. */
function queueOf({ config, rx }: UsedPort): number | undefined {
  return config.driver === "xdp" && config.queue !== undefined ? config.queue : rx ? undefined : 0;
}
