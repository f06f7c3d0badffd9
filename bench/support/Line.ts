/** One line of the table, and how its figures are written. The ratio is value over baseline, so what is better depends on the question. */

export interface Line {
  readonly what: string
  readonly value: string
  /** The baseline of the same run, or what was asked for. */
  readonly against: string
  readonly ratio?: string
}

/** Of an empty list: NaN. `share` 0.5 is the median. */
export const quantile = (values: ReadonlyArray<number>, share: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

export const median = (values: ReadonlyArray<number>): number => quantile(values, 0.5)

export const times = (ratio: number): string => `${ratio.toFixed(2)} ×`
export const millis = (ms: number): string => `${ms.toFixed(ms < 10 ? 2 : 0)} ms`
export const rate = (perSecond: number): string => `${Math.round(perSecond).toLocaleString("en")}/s`
export const bytes = (count: number): string =>
  count < 10_000 ? `${Math.round(count).toLocaleString("en")} B` : `${(count / 1024).toFixed(1)} KiB`
export const megabytes = (count: number): string => `${Math.round(count / 1e6)} MB`
