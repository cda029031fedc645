/**
 * Sending by an AF_XDP port that another thread receives from.
 *
 * The sender has a socket of its own at the receiver's queue, which takes the receiver's packet memory (XDP_SHARED_UMEM). To the two belong:
 *
 *   receiver   RX ring, fill ring, the socket that the program sends to; it watches the link, and closes last
 *   sender     TX ring, its descriptor for the calls that send, and the completion ring, of which a queue has one: the receiver's
 *
 * A TX ring at the receiver's socket would do with one, but poll(2) on a socket that has one sends from it (net/xdp/xsk.c, xsk_poll), in the
 * thread that waits for packets: frames the driver refuses there would be counted as sent.
 */
import { RunError } from "../../errors.js";
import type { Arena } from "../../packet/arena.js";
import { close, ERRNO, errorName } from "../net/syscalls.js";
import type { LiveTx, PortContext, TxPort } from "../port.js";
import { attachRing, makeRing, type RingHandle, type XdpRing } from "./ring.js";
import { type SendingSocket, XdpSender } from "./sender.js";
import { bindTo, isZeroCopy, makeSocket, sendBursts, XDP_SHARED_UMEM } from "./socket.js";

/** What the receiving thread says of its socket; plain data, good until that thread closes the port. */
export interface XdpLoan {
  readonly fd: number;
  /** Of the interface. */
  readonly index: number;
  readonly queue: number;
  /** Entries of the TX ring. */
  readonly ring: number;
  readonly completion: RingHandle;
}

/** bind(2) where the other socket is not bound yet, and where the interface is down or gone, which the receiver's thread sees to. */
const LATER: readonly number[] = [ERRNO.EBADF, ERRNO.ENETDOWN, ERRNO.ENODEV];

class LentSocket implements SendingSocket {
  bound = false;
  zeroCopy = false;
  /** The kernel sets the flag of the rings there are when the driver falls asleep, which may have been before this one was made. */
  readonly tellsWakeup = false;

  constructor(
    readonly fd: number,
    readonly tx: XdpRing,
    readonly completion: XdpRing,
    private readonly loan: XdpLoan,
    private readonly where: string,
  ) {}

  /** @returns false where it cannot be bound yet @throws RunError */
  tryBind(): boolean {
    if (this.bound) return true;
    const { fd, index, queue } = this.loan;
    const number = bindTo(this.fd, index, queue, XDP_SHARED_UMEM, fd);
    if (LATER.includes(number)) return false;
    if (number !== 0) {
      const problem = `the kernel refused a second socket at queue ${queue}, to send by: ${errorName(number)}`;
      throw new RunError(this.where, problem, "receive and send by one core: --cores d1");
    }
    this.bound = true;
    this.zeroCopy = isZeroCopy(this.fd);
    return true;
  }

  close(): void {
    this.tx.close();
    close(this.fd);
  }
}

/** @throws RunError */
export function openLent({ name, arena, lent }: PortContext): TxPort {
  const loan = lent as XdpLoan;
  const where = `port ${name}`;
  const fd = makeSocket(where);
  let socket: LentSocket | undefined;
  try {
    socket = new LentSocket(fd, makeRing(fd, "tx", loan.ring, where), attachRing(loan.completion), loan, where);
    sendBursts(fd, loan.ring);
    socket.tryBind();
    return new LentXdpTx(socket, arena);
  } catch (error) {
    if (socket === undefined) close(fd);
    else socket.close();
    throw error;
  }
}

class LentXdpTx implements TxPort {
  readonly live: LiveTx;
  private readonly sender: XdpSender;
  private closed = false;

  constructor(
    private readonly socket: LentSocket,
    arena: Arena,
  ) {
    const sender = new XdpSender(socket, arena, () => socket.tryBind());
    this.sender = sender;
    this.live = {
      update: () => {
        socket.tryBind();
      },
      get oerrors() {
        return sender.errors;
      },
      get oerrorBytes() {
        return sender.errorBytes;
      },
    };
  }

  transmit(slots: Uint32Array, count: number): void {
    this.sender.transmit(slots, count);
  }

  reclaim(slots: Uint32Array, force: boolean): number {
    return this.sender.reclaim(slots, force);
  }

  flush(): void {}

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.socket.close();
  }
}
