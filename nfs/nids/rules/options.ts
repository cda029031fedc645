/**
 * The options a rule may have: one entry per keyword. What has no entry is unsupported by its name. An option about another
 * buffer (http_uri and its kin) would be one more entry here.
 */
import { TCP_FLAG } from "../../../runtime/packet/protocols.js";
import { translatePcre } from "./pcre.js";
import { malformed, unsupported } from "./problem.js";
import type { FlagsTest, FlowTest, IsDataAtStep, PacketTest, PcreStep, Protocol, RangeTest } from "./rule.js";
import { contentBytes, numberRange, plainText, quoted, wholeNumber } from "./text.js";

/** A content while its modifiers are still to come. */
export interface ContentDraft {
  readonly kind: "content";
  readonly bytes: Uint8Array;
  readonly negated: boolean;
  nocase: boolean;
  offset?: number;
  depth?: number;
  distance?: number;
  within?: number;
  startswith: boolean;
  endswith: boolean;
  /** The part of it that is the fast pattern: [offset, length]. */
  fastPattern?: readonly [number, number];
  only: boolean;
}

/** A rule while its options are being read. */
export interface Draft {
  readonly protocol: Protocol;
  sid?: number;
  gid: number;
  rev: number;
  msg: string;
  classtype: string;
  priority: number;
  readonly tests: PacketTest[];
  flow: FlowTest | null;
  readonly steps: (ContentDraft | IsDataAtStep | PcreStep)[];
}

type Option = (draft: Draft, value: string | undefined, keyword: string) => void;

const MAX_U32 = 0xffff_ffff;
/** Longer than any packet; as Suricata's limit. */
const MAX_POSITION = 1 << 20;
/** What Suricata gives rules without a priority. */
export const DEFAULT_PRIORITY = 3;

const informs: Option = () => {};

/** An option without a value that modifies the content before it. */
const modifier =
  (change: (content: ContentDraft) => void): Option =>
  (draft, value, keyword) => {
    if (value !== undefined) throw malformed(`${keyword} takes no value, found ${value}`);
    change(lastContent(draft, keyword));
  };

const position =
  (field: "offset" | "depth" | "distance" | "within", min: number): Option =>
  (draft, value, keyword) => {
    const content = lastContent(draft, keyword);
    if (content[field] !== undefined) throw malformed(`${keyword} stands twice behind one content`);
    content[field] = wholeNumber(keyword, value, min, MAX_POSITION);
  };

const range =
  (kind: RangeTest["kind"], limit: number, protocol?: string): Option =>
  (draft, value, keyword) => {
    if (protocol !== undefined && draft.protocol.buffer !== "ip" && !draft.protocol.name.startsWith(protocol)) {
      throw malformed(`${keyword} in a rule for ${draft.protocol.name}`, `write ${protocol} or ip in the header`);
    }
    draft.tests.push({ kind, ...numberRange(keyword, value, limit) });
  };

export const OPTIONS: Readonly<Record<string, Option>> = {
  msg: (draft, value) => {
    draft.msg = plainText(value ?? "");
  },
  sid: (draft, value, keyword) => {
    draft.sid = wholeNumber(keyword, value, 1, MAX_U32);
  },
  gid: (draft, value, keyword) => {
    draft.gid = wholeNumber(keyword, value, 0, MAX_U32);
  },
  rev: (draft, value, keyword) => {
    draft.rev = wholeNumber(keyword, value, 0, MAX_U32);
  },
  classtype: (draft, value) => {
    draft.classtype = plainText(value ?? "");
  },
  priority: (draft, value, keyword) => {
    draft.priority = wholeNumber(keyword, value, 0, MAX_U32);
  },
  reference: informs,
  metadata: informs,
  target: informs,
  // Contents look at the packet as it is: nothing decodes it, so there is nothing to tell raw bytes from.
  rawbytes: informs,
  pkt_data: informs,

  content: (draft, value, keyword) => {
    const { negated, text } = quoted(keyword, value);
    const bytes = contentBytes(text);
    draft.steps.push({
      kind: "content",
      bytes,
      negated,
      nocase: false,
      startswith: false,
      endswith: false,
      only: false,
    });
  },
  nocase: modifier((content) => {
    content.nocase = true;
  }),
  offset: position("offset", 0),
  depth: position("depth", 1),
  distance: position("distance", -MAX_POSITION),
  within: position("within", 1),
  startswith: modifier((content) => {
    content.startswith = true;
  }),
  endswith: modifier((content) => {
    content.endswith = true;
  }),
  fast_pattern: (draft, value, keyword) => {
    const content = lastContent(draft, keyword);
    const chop = /^(\d+)\s*,\s*(\d+)$/.exec(value ?? "");
    if (value !== undefined && value !== "only" && chop === null) {
      throw malformed(`fast_pattern expects nothing, "only" or offset,length, found ${value}`);
    }
    content.only = value === "only";
    content.fastPattern = chop === null ? [0, content.bytes.length] : [Number(chop[1]), Number(chop[2])];
    const [from, length] = content.fastPattern;
    if (length < 1 || from + length > content.bytes.length) {
      throw malformed(`fast_pattern:${value} lies outside its content of ${content.bytes.length} bytes`);
    }
  },

  isdataat: (draft, value, keyword) => {
    const [number, ...words] = (value ?? "").split(",").map((word) => word.trim());
    const negated = number!.startsWith("!");
    const at = wholeNumber(keyword, negated ? number!.slice(1) : number, 0, MAX_POSITION);
    for (const word of words)
      if (word !== "relative" && word !== "rawbytes") throw unsupported(`option isdataat with ${word}`);
    draft.steps.push({ kind: "isdataat", at, relative: words.includes("relative"), negated });
  },

  pcre: (draft, value, keyword) => {
    const { negated, text } = quoted(keyword, value);
    draft.steps.push({ kind: "pcre", negated, ...translatePcre(text) });
  },

  dsize: range("dsize", 0xffff),
  ttl: range("ttl", 0xff),
  itype: range("itype", 0xff, "icmp"),
  icode: range("icode", 0xff, "icmp"),
  flags: (draft, value) => {
    if (draft.protocol.buffer !== "ip" && !draft.protocol.name.startsWith("tcp")) {
      throw malformed(`flags in a rule for ${draft.protocol.name}`, "write tcp in the header");
    }
    draft.tests.push(tcpFlags(value ?? ""));
  },
  flow: (draft, value) => {
    draft.flow = flow(draft.flow, value ?? "");
  },
};

function lastContent(draft: Draft, keyword: string): ContentDraft {
  const content = draft.steps.findLast((step) => step.kind === "content");
  if (content === undefined) throw malformed(`${keyword} without a content before it`);
  return content;
}

/** Snort's letters; 1 and 2 are the old names of C and E. */
const FLAG_LETTERS: Record<string, number> = {
  F: TCP_FLAG.FIN,
  S: TCP_FLAG.SYN,
  R: TCP_FLAG.RST,
  P: TCP_FLAG.PSH,
  A: TCP_FLAG.ACK,
  U: TCP_FLAG.URG,
  E: TCP_FLAG.ECE,
  C: TCP_FLAG.CWR,
  "1": TCP_FLAG.CWR,
  "2": TCP_FLAG.ECE,
  "0": 0,
};

/** [!|*|+]letters[,mask]; the sign may stand before or behind the letters, as in Snort. */
function tcpFlags(value: string): FlagsTest {
  const match = /^([!*+]?)\s*([FSRPAUEC120]+)\s*([!*+]?)\s*(?:,\s*([FSRPAUEC120]+))?$/i.exec(value);
  if (match === null || (match[1] !== "" && match[3] !== "")) {
    throw malformed(`flags expects [!|*|+]letters of FSRPAUEC120[,mask], found ${value === "" ? "nothing" : value}`);
  }
  const bits = (letters: string) => [...letters.toUpperCase()].reduce((sum, letter) => sum | FLAG_LETTERS[letter]!, 0);
  const modes: Record<string, FlagsTest["mode"]> = { "": "exact", "+": "all", "*": "any", "!": "none" };
  return { kind: "flags", mode: modes[match[1] || match[3]!]!, wanted: bits(match[2]!), ignored: bits(match[4] ?? "") };
}

function flow(before: FlowTest | null, value: string): FlowTest {
  let { direction, established } = before ?? { direction: "any", established: null };
  for (const word of value.split(",").map((w) => w.trim())) {
    if (word === "to_server" || word === "from_client") {
      if (direction === "to_client") throw malformed("flow: both to_server and to_client");
      direction = "to_server";
    } else if (word === "to_client" || word === "from_server") {
      if (direction === "to_server") throw malformed("flow: both to_server and to_client");
      direction = "to_client";
    } else if (word === "established" || word === "not_established") {
      const wanted = word === "established";
      if (established !== null && established !== wanted) throw malformed("flow: both established and not_established");
      established = wanted;
    } else if (word !== "stateless" && word !== "no_stream") {
      // no_stream restricts rules to packets as they are, which is all there is here; stateless restricts nothing.
      if (["only_stream", "no_frag", "only_frag"].includes(word)) throw unsupported(`option flow with ${word}`);
      throw malformed(
        `flow does not know "${word}"`,
        "use to_server, to_client, established, not_established, stateless",
      );
    }
  }
  return { direction, established };
}
