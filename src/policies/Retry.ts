/** How long a job waits after a broken attempt before the next one. Whether there is a next one is for `JobMachine` to say. */

export interface BackoffRules {
  readonly firstMs: number
  readonly maxMs: number
}

/**
 * Full jitter: anything between nothing and the doubled bound, so that jobs which failed together do not come back
 * together. `random01` is in [0, 1). Whole milliseconds, at least 1, never above `maxMs`.
 */
export const backoffMs = (failures: number, { firstMs, maxMs }: BackoffRules, random01: number): number => {
  const bound = Math.min(maxMs, firstMs * 2 ** Math.max(0, failures - 1))
  return Math.min(bound, 1 + Math.floor(Math.max(0, random01) * bound))
}
