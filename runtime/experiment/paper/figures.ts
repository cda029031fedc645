/** The paper's figures, in its order. */
import { ConfigError } from "../../errors.js";
import { fig3 } from "./fig3.js";
import { fig4a, fig4b } from "./fig4.js";
import { fig5 } from "./fig5.js";
import { fig6 } from "./fig6.js";
import { fig7 } from "./fig7.js";
import { fig8 } from "./fig8.js";
import type { PaperFigure } from "./figure.js";

export const PAPER_FIGURES: readonly PaperFigure[] = [fig3, fig4a, fig4b, fig5, fig6, fig7, fig8];

export const ALL_FIGURES = "all";

/**
 * "fig3", "fig4" (a and b), "fig4a,fig6", "all".
 * @throws ConfigError for a figure there is not
 */
export function parseFigures(text: string): PaperFigure[] {
  const found = new Set<PaperFigure>();
  for (const part of text.split(",")) {
    const word = part.trim().toLowerCase();
    const named = PAPER_FIGURES.filter(
      ({ id }) => word === ALL_FIGURES || id === word || id.replace(/[ab]$/, "") === word,
    );
    if (named.length === 0) {
      const ids = PAPER_FIGURES.map(({ id }) => id).join(", ");
      throw new ConfigError("paper", `there is no figure "${part.trim()}"`, `name ${ids}, or all`);
    }
    for (const figure of named) found.add(figure);
  }
  return PAPER_FIGURES.filter((figure) => found.has(figure));
}
