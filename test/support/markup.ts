/** Reads a report's page strictly: every element is closed, every attribute quoted. Throws at the first thing that is not. */

export interface MarkupElement {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: (MarkupElement | string)[];
}

const VOID = new Set(["meta", "br"]);
const TOKEN = /<(\/?)([A-Za-z][A-Za-z0-9]*)((?:\s+[\w:-]+="[^"<>]*")*)\s*(\/?)>|([^<]+)|(<)/g;

export function parseMarkup(text: string): MarkupElement {
  const root: MarkupElement = { name: "", attributes: new Map(), children: [] };
  const open = [root];
  const body = text.replace(/^<!doctype html>\n/, "");
  if (body === text) throw new Error("no doctype");
  for (const [whole, close, name = "", attributes = "", end, words, stray] of body.matchAll(TOKEN)) {
    const top = open.at(-1)!;
    if (stray !== undefined) throw new Error(`a stray < in ${top.name}`);
    if (words !== undefined) {
      const bare = top.name === "style" ? undefined : words.match(/>|&(?!(?:amp|lt|gt|quot|#39);)/);
      if (bare) throw new Error(`${bare[0]} is not escaped in: ${words.slice(0, 200)}`);
      top.children.push(decoded(words));
      continue;
    }
    if (close !== "") {
      if (top.name !== name) throw new Error(`</${name}> closes ${top.name}`);
      open.pop();
      continue;
    }
    const map = new Map<string, string>();
    for (const [, key = "", value = ""] of attributes.matchAll(/([\w:-]+)="([^"]*)"/g)) {
      if (map.has(key)) throw new Error(`${key} twice in ${whole}`);
      map.set(key, decoded(value));
    }
    const element = { name, attributes: map, children: [] };
    top.children.push(element);
    if (end === "" && !VOID.has(name)) open.push(element);
  }
  if (open.length !== 1) throw new Error(`${open.at(-1)!.name} is not closed`);
  return root;
}

export function* elements(of: MarkupElement): Generator<MarkupElement> {
  for (const child of of.children) {
    if (typeof child === "string") continue;
    yield child;
    yield* elements(child);
  }
}

export function textOf(of: MarkupElement): string {
  return of.children.map((child) => (typeof child === "string" ? child : textOf(child))).join("");
}

function decoded(text: string): string {
  const characters: Record<string, string> = { lt: "<", gt: ">", quot: '"', "#39": "'", amp: "&" };
  return text.replace(/&(lt|gt|quot|#39|amp);/g, (_, name: string) => characters[name]!);
}
