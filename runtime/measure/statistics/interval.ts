/** What is known of a quantity from a few measurements of it. */
export interface Estimate {
  readonly median: number;
  /** Confidence interval of the median; -Infinity and Infinity where there are too few samples for the confidence. */
  readonly low: number;
  readonly high: number;
  /** 0.95 */
  readonly confidence: number;
  readonly samples: number;
}
