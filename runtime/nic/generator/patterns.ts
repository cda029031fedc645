/**
 * The contents a rule file looks for: of every rule the longest positive one, which is what a multi-pattern search holds too. Only as
 * much of the rule language is read as that takes; the NIDS has the real parser.
 */
import { readFileSync } from "node:fs";
import { ConfigError } from "../../errors.js";

export interface Pattern {
  readonly bytes: Uint8Array;
  /** IP protocol that a rule's packets must have, 6 or 17; 0: any. */
  readonly proto: number;
}

const RULE = /^(?:alert|drop|pass|reject|rejectsrc|rejectdst|rejectboth|log|sdrop|block)\s+(\S+)\s/;
// Not behind a letter, so that uricontent is not content.
const CONTENT = /(?<![\w.])content\s*:\s*(!?)\s*"((?:\\.|[^"\\])*)"/g;

/**
 * @returns patterns in ascending order of length
 * @throws ConfigError where the file cannot be read or holds no content
 */
export function readPatterns(file: string): Pattern[] {
  let text: string;
  try {
    text = readFileSync(file, "latin1");
  } catch (error) {
    throw new ConfigError(file, `cannot read the rules: ${(error as Error).message}`, "check the path given as rules");
  }
  const patterns: Pattern[] = [];
  for (const line of text.replace(/\\\r?\n/g, " ").split(/\r?\n/)) {
    const rule = RULE.exec(line.trim());
    if (rule === null) continue;
    let longest: Uint8Array | undefined;
    for (const [, negated, quoted] of line.matchAll(CONTENT)) {
      const bytes = negated === "!" ? undefined : decodeContent(quoted!);
      if (bytes !== undefined && bytes.length > (longest?.length ?? 0)) longest = bytes;
    }
    if (longest !== undefined) patterns.push({ bytes: longest, proto: protocolOf(rule[1]!) });
  }
  if (patterns.length === 0) {
    throw new ConfigError(
      file,
      "no rule with a content option in it",
      'give a rule file with content:"..." in its rules',
    );
  }
  return patterns.sort((a, b) => a.bytes.length - b.bytes.length);
}

/** Application protocols (http, tls, ...) run over TCP; dns over both. */
function protocolOf(name: string): number {
  if (name === "udp" || name === "tftp" || name === "snmp" || name === "ntp" || name === "dhcp") return 17;
  return name === "ip" || name === "dns" || name === "icmp" || name === "pkthdr" ? 0 : 6;
}

/** `text|0d 0a|text`, with `\` before a character that is meant literally; undefined where the hex is no hex. */
function decodeContent(quoted: string): Uint8Array | undefined {
  const bytes: number[] = [];
  for (let i = 0; i < quoted.length; i++) {
    if (quoted[i] === "|") {
      const end = quoted.indexOf("|", i + 1);
      const hex = end < 0 ? "" : quoted.slice(i + 1, end).replace(/\s+/g, "");
      if (!/^(?:[0-9a-fA-F]{2})+$/.test(hex)) return undefined;
      bytes.push(...Buffer.from(hex, "hex"));
      i = end;
    } else {
      if (quoted[i] === "\\") i++;
      bytes.push(quoted.charCodeAt(i) & 0xff);
    }
  }
  return Uint8Array.from(bytes);
}
