/** Which drops of a run are answered with a message of the gateway's own, as part of its plan. */
import type { IcmpAnswer } from "../../chain/nf.js";
import type { PortAddresses } from "../../nic/addresses.js";
import { noteBytes } from "./notes.js";
import { LIMIT_BYTES } from "./rate-limit.js";

/** What the sender of a dropped packet is told. */
export interface Answer {
  readonly icmp: IcmpAnswer;
  /** Of too-big: bytes of the largest IP packet that is not; absent: the MTU of the port that the packet would have left by. */
  readonly largest?: number | undefined;
}

export interface PlanIcmp {
  /** By index into Plan.drops; undefined where nobody is told. */
  readonly answers: readonly (Answer | undefined)[];
  /** Of {@link ArrivalNotes}. */
  readonly notes: SharedArrayBuffer;
  /** Of {@link RateLimit}. */
  readonly limit: SharedArrayBuffer;
}

/** What a port is, as far as messages by it are concerned. */
export interface AnsweringPort {
  readonly rx: boolean;
  readonly tx: boolean;
  readonly mtu: number | undefined;
  readonly addresses?: PortAddresses | undefined;
  /** IPv4 addresses that stand for all hosts of its networks. */
  readonly broadcasts?: readonly number[] | undefined;
}

/** True where messages leave by the port: a sender is answered by the way its packet came. */
export function answersBy({ rx, tx, addresses }: AnsweringPort): boolean {
  return rx && tx && (addresses?.ipv4 !== undefined || addresses?.ipv6 !== undefined);
}

/** @returns undefined where no port has messages to send */
export function planIcmp(
  ports: readonly AnsweringPort[],
  answers: readonly (Answer | undefined)[],
  slots: number,
): PlanIcmp | undefined {
  if (!ports.some(answersBy)) return undefined;
  return { answers, notes: new SharedArrayBuffer(noteBytes(slots)), limit: new SharedArrayBuffer(LIMIT_BYTES) };
}
