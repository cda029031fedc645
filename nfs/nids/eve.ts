/**
 * Alerts as EVE JSON lines, the format of Suricata's eve.json. Lines are buffered and written in whole; the file is opened for
 * appending, so that several workers may share it.
 *
 * Packets without ports have port 0; ICMP messages also have icmp_type and icmp_code.
 */
import fs from "node:fs";
import ipaddr from "ipaddr.js";
import { RunError } from "../../runtime/errors.js";
import { type Arena, FLAG, SLOT_SHIFT } from "../../runtime/packet/arena.js";
import { IPPROTO, IPV4, IPV6 } from "../../runtime/packet/protocols.js";
import { blocks, type Rule } from "./rules/rule.js";

const BUFFER_BYTES = 64 * 1024;
const NEWLINE = 0x0a;
const PROTOCOL_NAMES: Record<number, string> = {
  [IPPROTO.ICMP]: "ICMP",
  [IPPROTO.IPV4]: "IPv4",
  [IPPROTO.TCP]: "TCP",
  [IPPROTO.UDP]: "UDP",
  [IPPROTO.IPV6]: "IPv6",
  47: "GRE",
  [IPPROTO.ESP]: "ESP",
  [IPPROTO.AH]: "AH",
  [IPPROTO.ICMPV6]: "IPv6-ICMP",
  [IPPROTO.SCTP]: "SCTP",
};

export class EveWriter {
  private readonly fd: number;
  private readonly buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  private used = 0;
  /** What every line of a rule ends in. */
  private readonly tails: readonly string[];
  private second = -1;
  private secondText = "";

  /** @throws RunError when the file cannot be created */
  constructor(
    private readonly file: string,
    private readonly arena: Arena,
    rules: readonly Rule[],
  ) {
    this.tails = rules.map((rule) => `,"alert":${JSON.stringify(alertOf(rule))}}\n`);
    try {
      // Two flags of open(2) that no mode string names together: a new file, written at its end.
      const { O_WRONLY, O_CREAT, O_TRUNC, O_APPEND } = fs.constants;
      this.fd = fs.openSync(file, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0o644);
    } catch (error) {
      throw new RunError(file, `the alerts file cannot be created: ${reason(error)}`, "check its folder and rights");
    }
  }

  write(slot: number, ruleIndex: number): void {
    const line = this.line(slot) + this.tails[ruleIndex]!;
    const bytes = Buffer.byteLength(line);
    if (this.used + bytes > BUFFER_BYTES) this.flush();
    if (bytes > BUFFER_BYTES) {
      this.writeOut(Buffer.from(line));
      return;
    }
    this.used += this.buffer.write(line, this.used);
  }

  /** Writes out what is buffered. @throws RunError */
  flush(): void {
    const end = this.used;
    this.used = 0;
    if (end > 0) this.writeOut(this.buffer.subarray(0, end));
  }

  /** @throws RunError */
  close(): void {
    try {
      this.flush();
    } finally {
      fs.closeSync(this.fd);
    }
  }

  private writeOut(lines: Buffer): void {
    let done = 0;
    try {
      while (done < lines.length) done += fs.writeSync(this.fd, lines, done, lines.length - done);
    } catch (error) {
      this.cutHalfLine(lines.subarray(0, done));
      let lost = 0;
      for (let at = lines.subarray(0, done).lastIndexOf(NEWLINE) + 1; at < lines.length; at++)
        if (lines[at] === NEWLINE) lost++;
      throw new RunError(
        this.file,
        `${lost} alerts could not be written: ${reason(error)}`,
        "make room or name another alerts file",
      );
    }
  }

  /** A full disk takes part of a line: takes it out again, where the file can be cut. */
  private cutHalfLine(written: Buffer): void {
    const half = written.length - 1 - written.lastIndexOf(NEWLINE);
    if (half === 0) return;
    try {
      fs.ftruncateSync(this.fd, fs.fstatSync(this.fd).size - half);
    } catch {
      // A pipe or device; the error that led here says what there is to say.
    }
  }

  private line(slot: number): string {
    const { arena } = this;
    const proto = arena.proto[slot]!;
    const l4 = (arena.flags[slot]! & FLAG.L4) !== 0;
    const icmp = l4 && (proto === IPPROTO.ICMP || proto === IPPROTO.ICMPV6);
    const ports = l4 && !icmp;
    const v4 = (arena.flags[slot]! & FLAG.IPV4) !== 0;
    const at = (slot << SLOT_SHIFT) + arena.l3[slot]!;
    const src = v4 ? this.ipv4(at + IPV4.SRC) : this.ipv6(at + IPV6.SRC);
    const dst = v4 ? this.ipv4(at + IPV4.DST) : this.ipv6(at + IPV6.DST);
    const [sport, dport] = [arena.sport[slot]!, arena.dport[slot]!];
    return (
      `{"timestamp":"${this.timestamp(slot)}","event_type":"alert","src_ip":"${src}","src_port":${ports ? sport : 0},` +
      `"dest_ip":"${dst}","dest_port":${ports ? dport : 0},"proto":"${PROTOCOL_NAMES[proto] ?? proto}",` +
      `${icmp ? `"icmp_type":${sport},"icmp_code":${dport},` : ""}"pcap_cnt":${arena.arrival[slot]}`
    );
  }

  /** ISO 8601 in UTC with microseconds, as Suricata writes it. */
  private timestamp(slot: number): string {
    const seconds = this.arena.tsSec[slot]!;
    if (seconds !== this.second) {
      this.second = seconds;
      this.secondText = new Date(seconds * 1000).toISOString().slice(0, 19);
    }
    const micros = Math.floor(this.arena.tsNsec[slot]! / 1000);
    return `${this.secondText}.${String(micros).padStart(6, "0")}+0000`;
  }

  private ipv4(at: number): string {
    const { u8 } = this.arena;
    return `${u8[at]}.${u8[at + 1]}.${u8[at + 2]}.${u8[at + 3]}`;
  }

  /** RFC 5952. */
  private ipv6(at: number): string {
    return ipaddr.fromByteArray([...this.arena.u8.subarray(at, at + 16)]).toString();
  }
}

function alertOf(rule: Rule): Record<string, unknown> {
  return {
    action: blocks(rule.action) ? "blocked" : "allowed",
    gid: rule.gid,
    signature_id: rule.sid,
    rev: rule.rev,
    signature: rule.msg,
    category: rule.classtype,
    severity: rule.priority,
  };
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
