/**
 * The part of a rule that looks into the buffer: contents, isdataat and pcre in order.
 *
 * A content with distance or within depends on where the one before it matched, and if it fails there, it may hold behind a
 * later match of the one before: so every match is tried (as in Snort and Suricata). What depends on the cursor alone is
 * remembered as failed, so the work is at most steps x buffer length windows and no payload makes it exponential.
 */
import { type Arena, SLOT_SIZE } from "../../runtime/packet/arena.js";
import type { Rule } from "./rules/rule.js";

/** Byte to lower case, ASCII letters only. */
export const LOWER = Uint8Array.from({ length: 256 }, (_, b) => (b >= 0x41 && b <= 0x5a ? b + 0x20 : b));

const CONTENT = 0;
const ISDATAAT = 1;
const PCRE = 2;

/** A step with what can be known before any packet. All steps have one shape. */
interface Compiled {
  readonly kind: number;
  readonly negated: boolean;
  readonly relative: boolean;
  /** Content, lower-cased where `nocase`. */
  readonly bytes: Uint8Array;
  readonly nocase: boolean;
  readonly offset: number;
  readonly span: number;
  readonly endswith: boolean;
  readonly anywhere: boolean;
  /** isdataat */
  readonly at: number;
  readonly regex: RegExp;
}

export interface CompiledSteps {
  readonly list: readonly Compiled[];
  /** [i]: the outcome of steps i and up depends on the cursor. One entry more than there are steps. */
  readonly usesCursor: readonly boolean[];
  /** [i]: steps i and up, having failed with one cursor, may hold with a higher one. */
  readonly worthRetry: readonly boolean[];
}

const NO_BYTES = new Uint8Array(0);
const NO_REGEX = /(?:)/g;
const PLAIN = {
  bytes: NO_BYTES,
  nocase: false,
  offset: 0,
  span: 0,
  endswith: false,
  anywhere: false,
  at: 0,
  regex: NO_REGEX,
} as const;

export function compileSteps(steps: Rule["steps"]): CompiledSteps {
  const list = steps.map((step): Compiled => {
    const { negated, relative } = step;
    if (step.kind === "pcre") {
      return { ...PLAIN, kind: PCRE, negated, relative, regex: new RegExp(step.source, step.flags) };
    }
    if (step.kind === "isdataat") return { ...PLAIN, kind: ISDATAAT, negated, relative, at: step.at };
    const bytes = step.nocase ? step.bytes.map((byte) => LOWER[byte]!) : step.bytes;
    const { nocase, offset, span, endswith, anywhere } = step;
    return {
      kind: CONTENT,
      negated,
      relative,
      bytes,
      nocase,
      offset,
      span,
      endswith,
      anywhere,
      at: 0,
      regex: NO_REGEX,
    };
  });
  const usesCursor: boolean[] = new Array(list.length + 1).fill(false);
  const worthRetry: boolean[] = new Array(list.length + 1).fill(false);
  for (let i = list.length - 1; i >= 0; i--) {
    const step = list[i]!;
    const setsCursor = !step.negated && !step.anywhere && step.kind !== ISDATAAT;
    usesCursor[i] = step.relative || (!setsCursor && usesCursor[i + 1]!);
    // A content without `within` has fewer places to be behind a higher cursor, never other ones.
    const fewer = step.kind === CONTENT && step.relative && !step.negated && step.span === Number.POSITIVE_INFINITY;
    worthRetry[i] = usesCursor[i]! && !fewer;
  }
  return { list, usesCursor, worthRetry };
}

export class StepMatcher {
  private readonly u8: Uint8Array;
  private readonly text: Buffer;
  /** [step * (SLOT_SIZE + 1) + cursor] = the run in which this failed. */
  private readonly failed: Uint32Array;
  private run = 0;
  private steps: CompiledSteps = { list: [], usesCursor: [false], worthRetry: [false] };
  private start = 0;
  private length = 0;

  /** @param maxSteps the longest rule's number of steps */
  constructor(arena: Arena, maxSteps: number) {
    this.u8 = arena.u8;
    this.text = Buffer.from(arena.buffer, 0, arena.u8.length);
    this.failed = new Uint32Array(maxSteps * (SLOT_SIZE + 1));
  }

  /** Whether all steps hold in arena bytes [start, start + length). */
  matches(steps: CompiledSteps, start: number, length: number): boolean {
    this.steps = steps;
    this.start = start;
    this.length = length;
    this.run = (this.run + 1) >>> 0;
    if (this.run === 0) {
      this.failed.fill(0);
      this.run = 1;
    }
    return this.from(0, 0);
  }

  private from(i: number, cursorIn: number): boolean {
    const { list, usesCursor } = this.steps;
    if (i === list.length) return true;
    const cursor = usesCursor[i] ? cursorIn : 0;
    const key = i * (SLOT_SIZE + 1) + cursor;
    if (this.failed[key] === this.run) return false;
    const step = list[i]!;
    const holds =
      step.kind === CONTENT
        ? this.content(step, i, cursor)
        : step.kind === PCRE
          ? this.pcre(step, i, cursor)
          : this.isDataAt(step, cursor) && this.from(i + 1, cursor);
    if (!holds) this.failed[key] = this.run;
    return holds;
  }

  private content(step: Compiled, i: number, cursor: number): boolean {
    const base = (step.relative ? cursor : 0) + step.offset;
    const low = Math.max(base, 0);
    const high = Math.min(this.length, base + step.span);
    let at = this.find(step, low, high);
    if (step.negated) return at < 0 && this.from(i + 1, cursor);
    if (step.anywhere) return at >= 0 && this.from(i + 1, cursor);
    const retry = this.steps.worthRetry[i + 1]!;
    while (at >= 0) {
      if (this.from(i + 1, at + step.bytes.length)) return true;
      if (!retry) return false;
      at = this.find(step, at + 1, high);
    }
    return false;
  }

  /** First place of the content with all of it in [low, high) of the buffer, or -1. */
  private find(step: Compiled, low: number, high: number): number {
    const { u8 } = this;
    const { bytes, nocase } = step;
    const size = bytes.length;
    const last = this.start + high - size;
    let at = this.start + low;
    if (step.endswith) {
      if (high !== this.length) return -1;
      if (last > at) at = last;
    }
    const first = bytes[0]!;
    for (; at <= last; at++) {
      if ((nocase ? LOWER[u8[at]!] : u8[at]) !== first) continue;
      let k = 1;
      if (nocase) while (k < size && LOWER[u8[at + k]!] === bytes[k]) k++;
      else while (k < size && u8[at + k] === bytes[k]) k++;
      if (k === size) return at - this.start;
    }
    return -1;
  }

  /** Tries the leftmost match, then the leftmost that starts behind it, and so on. */
  private pcre(step: Compiled, i: number, cursor: number): boolean {
    const { regex } = step;
    const base = step.relative ? cursor : 0;
    const text = this.text.toString("latin1", this.start + base, this.start + this.length);
    regex.lastIndex = 0;
    if (step.negated) return !regex.test(text) && this.from(i + 1, cursor);
    const retry = this.steps.worthRetry[i + 1]!;
    for (let match = regex.exec(text); match !== null; match = regex.exec(text)) {
      if (this.from(i + 1, base + match.index + match[0].length)) return true;
      if (!retry) return false;
      regex.lastIndex = match.index + 1;
    }
    return false;
  }

  private isDataAt(step: Compiled, cursor: number): boolean {
    const there = step.relative ? cursor + step.at <= this.length : step.at < this.length;
    return there !== step.negated;
  }
}
