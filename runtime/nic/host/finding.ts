/** Whether packets for this host get to its network stack, for the doctor: tried out, without an interface and without a frame. */
import type { Finding } from "../../native/finding.js";
import { loadXdp, XDP } from "../net/bpf.js";
import { close } from "../net/syscalls.js";
import { probeHost } from "./port.js";
import { hostRefused, openHostSide } from "./program.js";

/** The kernel says that it is not there, after it has looked whether it can do this at all. */
const NO_INTERFACE = 0x7fff_ffff;
const WHERE = "doctor";

export function hostFinding(): Finding {
  const common = { area: "network", name: "target kernel with xdp" } as const;
  try {
    tryOut();
    return { ...common, state: "ok", detail: "this host's stack takes packets that a policy sends to it" };
  } catch (error) {
    const [problem, remedy] = (error as Error).message.replace(`${WHERE}: `, "").split("\n  remedy: ");
    return { ...common, state: "missing", detail: problem!, ...(remedy === undefined ? {} : { remedy }) };
  }
}

function tryOut(): void {
  const side = openHostSide(1, WHERE);
  try {
    const program = loadXdp([...side.instructions(true), [0xb7, 0, 0, XDP.DROP], [0x95, 0, 0, 0]]);
    if (typeof program !== "number") throw hostRefused(WHERE, program.errno, program.said);
    try {
      probeHost(side.access({ name: "none", index: NO_INTERFACE }, program, true), WHERE);
    } finally {
      close(program);
    }
  } finally {
    side.close();
  }
}
