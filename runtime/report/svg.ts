/** From the SVG that Vega writes to an element of the page: no ids that clash, no fonts, colours as the page's variables. */
import { escaped } from "./text.js";
import { variables } from "./theme.js";

/** Elements that Vega draws with. Others (images, links, styles) are left out: nothing of a plot is fetched or followed. */
const ELEMENTS = new Set(["svg", "g", "path", "line", "rect", "circle", "text", "tspan", "defs", "clipPath"]);
const ATTRIBUTES =
  /^(?:id|d|x|y|x1|x2|y1|y2|dx|dy|cx|cy|r|width|height|viewBox|transform|fill|stroke|opacity|display|clip-path|text-anchor|(?:fill|stroke)-[a-z]+|font-(?:size|weight|style))$/;
const TAG = /<(\/?)([A-Za-z]+)((?:\s+[\w:-]+="[^"]*")*)\s*(\/?)>/g;
const ATTRIBUTE = /([\w:-]+)="([^"]*)"/g;

const byColour = new Map(variables().map(({ name, tone }) => [tone.light, name]));

/**
 * @param svg as Vega writes it: no comments, and `<` in a text is escaped
 * @param name begins every id in it
 * @param alt what it shows, in words
 */
export function forPage(svg: string, name: string, alt: string): string {
  // The empty paths of frames and their roles for screen readers are half of what Vega writes; the page says it in words.
  const bare = svg.replace(/<path [^<>]*d=""[^<>]*\/>/g, "");
  return bare.replace(TAG, (_, close: string, element: string, attributes: string, end: string) => {
    if (!ELEMENTS.has(element)) return "";
    if (close !== "") return `</${element}>`;
    const kept = [...attributes.matchAll(ATTRIBUTE)].flatMap(([, key = "", value = ""]) => {
      // Its size is the style sheet's affair; what it is wide as a picture, the viewBox says.
      if (!ATTRIBUTES.test(key) || (element === "svg" && /^(?:fill|stroke)/.test(key))) return [];
      return ` ${key}="${valueOnPage(key, value, name)}"`;
    });
    const role = element === "svg" ? ` role="img" aria-label="${escaped(alt)}"` : "";
    return `<${element}${role}${kept.join("")}${end}>`;
  });
}

function valueOnPage(key: string, value: string, name: string): string {
  if (key === "id") return `${name}-${value}`;
  if (key === "clip-path") return value.replace("url(#", `url(#${name}-`);
  if (key === "fill" || key === "stroke") {
    const variable = byColour.get(value.toLowerCase());
    return variable === undefined ? value : `var(${variable})`;
  }
  // A hundredth of a px is finer than any printer.
  if (key === "d" || key === "transform")
    return value.replace(/\d+\.\d{3,}/g, (digits) => String(Math.round(Number(digits) * 100) / 100));
  return value;
}
