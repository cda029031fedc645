/** From the text of a rule file to rules. */

import type { Pattern } from "../mpse/mpse.js";
import { parseHeader, type Variables } from "./header.js";
import { type ContentDraft, DEFAULT_PRIORITY, type Draft, OPTIONS } from "./options.js";
import { malformed, unsupported } from "./problem.js";
import type { ContentStep, Rule, Step } from "./rule.js";
import { splitOptions } from "./text.js";

export interface RuleLine {
  /** Line its first part stands in, from 1. */
  readonly line: number;
  readonly text: string;
}

/** The rules of a file: a backslash at the end joins a line with the next; empty lines and # comments are left out. */
export function ruleLines(text: string): RuleLine[] {
  const out: RuleLine[] = [];
  let joined = "";
  let first = 0;
  text.split(/\r?\n/).forEach((raw, index) => {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) {
      if (line === "" && joined !== "") finish();
      return;
    }
    if (joined === "") first = index + 1;
    if (line.endsWith("\\")) {
      joined += `${line.slice(0, -1)} `;
    } else {
      joined += line;
      finish();
    }
  });
  if (joined !== "") finish();
  return out;

  function finish(): void {
    out.push({ line: first, text: joined.trim() });
    joined = "";
  }
}

/**
 * One rule.
 * @param where file:line, kept in the rule for messages
 * @throws RuleProblem
 */
export function parseRule(text: string, where: string, variables: Variables): Rule {
  const open = text.indexOf("(");
  const head = open < 0 ? text : text.slice(0, open);
  variables.where = where;
  const header = parseHeader(head, variables);
  if (open < 0 || !text.endsWith(")")) {
    throw malformed("the options do not stand in parentheses", 'write (msg:"..."; sid:N;) behind the header');
  }
  const draft: Draft = {
    protocol: header.protocol,
    gid: 1,
    rev: 0,
    msg: "",
    classtype: "",
    priority: DEFAULT_PRIORITY,
    tests: [],
    flow: null,
    steps: [],
  };
  for (const { keyword, value } of splitOptions(text.slice(open + 1, -1))) {
    const option = Object.hasOwn(OPTIONS, keyword) ? OPTIONS[keyword] : undefined;
    if (option === undefined) throw unsupported(`option ${keyword}`);
    option(draft, value, keyword);
  }
  if (draft.sid === undefined) throw malformed("no sid", "give the rule a number of its own: sid:1000001;");
  const { sid, gid, rev, msg, classtype, priority, tests, flow } = draft;
  const pattern = fastPattern(draft);
  return { ...header, where, sid, gid, rev, msg, classtype, priority, tests, flow, steps: steps(draft), pattern };
}

function steps(draft: Draft): Step[] {
  const out = draft.steps.map((step) => (step.kind === "content" ? contentStep(step) : step));
  out.forEach((step, i) => {
    const before = out[i - 1];
    if (step.relative && before?.kind === "content" && before.anywhere) {
      throw unsupported("option fast_pattern:only before a relative option");
    }
  });
  return out;
}

function contentStep(draft: ContentDraft): ContentStep {
  const { kind, bytes, nocase, negated, offset, depth, distance, within, startswith, endswith, only } = draft;
  const absolute = offset !== undefined || depth !== undefined;
  const relative = distance !== undefined || within !== undefined;
  if (absolute && relative) throw unsupported("option offset or depth together with distance or within");
  if (startswith && (absolute || relative)) throw unsupported("option startswith together with another position");
  if (only && (absolute || relative || startswith || endswith || negated)) {
    throw unsupported("option fast_pattern:only together with a position or !");
  }
  if (draft.fastPattern !== undefined && negated) throw unsupported("option fast_pattern on a negated content");
  const span = startswith ? bytes.length : ((relative ? within : depth) ?? Number.POSITIVE_INFINITY);
  if (span < bytes.length) {
    throw malformed(`${relative ? "within" : "depth"}:${span} is shorter than its content of ${bytes.length} bytes`);
  }
  const from = (relative ? distance : offset) ?? 0;
  return { kind, bytes, nocase, negated, relative, offset: from, span, endswith, anywhere: only };
}

/** The content that goes into the multi-pattern search: the one marked, else the longest, else (all the same) the first. */
function fastPattern(draft: Draft): Pattern | null {
  const contents = draft.steps.filter((step) => step.kind === "content");
  const marked = contents.filter((content) => content.fastPattern !== undefined);
  if (marked.length > 1) throw malformed("more than one fast_pattern");
  const positive = contents.filter((content) => !content.negated);
  const longest = positive.reduce<ContentDraft | null>(
    (best, content) => (best === null || content.bytes.length > best.bytes.length ? content : best),
    null,
  );
  const chosen = marked[0] ?? longest;
  if (chosen === null || chosen.negated) return null;
  const [from, length] = chosen.fastPattern ?? [0, chosen.bytes.length];
  return { bytes: chosen.bytes.slice(from, from + length), nocase: chosen.nocase };
}
