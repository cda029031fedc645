/** Text from anywhere (file names, NF names, alerts) on its way into HTML, SVG and CSV. */

/** Markup that is finished: it is put in as it is. */
export class Html {
  constructor(readonly text: string) {}
}

export type Content = Html | string | number | null | undefined | false | readonly Content[];

/** `html\`<p>${anything}</p>\``: what is put in is escaped, unless it is {@link Html}; arrays are joined, null, undefined and false are nothing. */
export function html(parts: TemplateStringsArray, ...contents: readonly Content[]): Html {
  return new Html(parts.map((part, index) => part + (index < contents.length ? markup(contents[index]) : "")).join(""));
}

function markup(content: Content): string {
  if (content instanceof Html) return content.text;
  if (content === null || content === undefined || content === false) return "";
  if (typeof content === "object") return content.map(markup).join("");
  return escaped(String(content));
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** For elements' content and quoted attributes alike. */
export function escaped(text: string): string {
  return clean(text).replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}

/**
 * What XML cannot hold (control characters, halves of surrogate pairs), and marks that turn the direction of text, so that a name reads as
 * another: each becomes the replacement character.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const UNFIT = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]|\p{Surrogate}/gu;

export function clean(text: string): string {
  return text.replace(UNFIT, "\ufffd");
}

/** Every string in a value of plain JSON, cleaned. */
export function cleanAll(value: unknown): unknown {
  if (typeof value === "string") return clean(value);
  if (Array.isArray(value)) return value.map(cleanAll);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, cleanAll(one)]));
}

/** Letters, digits and hyphens for a file's name; unique among those taken, of which it becomes one. */
export function fileName(wanted: string, taken: Set<string>): string {
  const base =
    wanted
      .replace(/[^A-Za-z0-9]+/g, "-")
      .replace(/^-|-$/g, "")
      .slice(0, 80) || "unnamed";
  let name = base;
  for (let number = 2; taken.has(name.toLowerCase()); number++) name = `${base}-${number}`;
  taken.add(name.toLowerCase());
  return name;
}
