/** Payload that looks like HTTP requests: text as a multi-pattern search meets it, with the common words in it. */
import type { Random } from "./random.js";

const METHODS = ["GET", "GET", "GET", "POST", "HEAD"];
const WORDS = [
  "index",
  "images",
  "static",
  "account",
  "search",
  "products",
  "news",
  "login",
  "assets",
  "archive",
  "report",
  "download",
  "library",
  "article",
  "session",
  "profile",
  "weather",
  "calendar",
  "gallery",
  "support",
];
const AGENTS = ["Mozilla/5.0 (X11; Linux x86_64)", "curl/7.88.1", "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"];

/** Fills u8[from, to), cutting the last request off. */
export function fillText(u8: Uint8Array, from: number, to: number, random: Random): void {
  const pick = (list: readonly string[]) => list[random.below(list.length)]!;
  let at = from;
  while (at < to) {
    const request =
      `${pick(METHODS)} /${pick(WORDS)}/${pick(WORDS)}-${random.below(10000)}?${pick(WORDS)}=${random.below(1e6)} HTTP/1.1\r\n` +
      `Host: ${pick(WORDS)}.example.com\r\nUser-Agent: ${pick(AGENTS)}\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n`;
    for (let i = 0; i < request.length && at < to; i++) u8[at++] = request.charCodeAt(i);
  }
}
