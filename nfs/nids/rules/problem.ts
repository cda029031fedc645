/** What can be wrong with one rule. Whoever reads the file adds file and line. */
export class RuleProblem extends Error {
  /**
   * @param kind `unsupported`: a rule other engines understand, skipped or refused as `on_unsupported` says;
   *   `malformed`: always refused
   * @param problem for unsupported rules a short name of the kind ("option http_uri"), by which rules are counted
   */
  constructor(
    readonly kind: "unsupported" | "malformed",
    readonly problem: string,
    readonly remedy?: string,
  ) {
    super(problem);
  }
}

export function unsupported(what: string): RuleProblem {
  return new RuleProblem("unsupported", what);
}

export function malformed(problem: string, remedy?: string): RuleProblem {
  return new RuleProblem("malformed", problem, remedy);
}
