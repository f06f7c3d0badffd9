/**
 * The one bounded wait of the journeys, for what another process has no event for: a state read over HTTP. It looks again until the look gives
 * something, and says what it waited for when nothing came.
 */
import { scheduler } from "node:timers/promises"

const LOOK_EVERY_MS = 25
/** Far above what any of it takes; a journey that needs so long is broken, not slow. */
const WITHIN_MS = 45_000

/** The first result that is neither null, undefined nor false. */
export const until = async <A>(
  what: string,
  look: () => Promise<A> | A,
  withinMs: number = WITHIN_MS
): Promise<Exclude<A, null | undefined | false>> => {
  const startedAt = performance.now()
  let last: unknown
  while (performance.now() - startedAt < withinMs) {
    const seen = await look()
    if (seen !== null && seen !== undefined && seen !== false) return seen as Exclude<A, null | undefined | false>
    last = seen
    await scheduler.wait(LOOK_EVERY_MS)
  }
  throw new Error(`waited in vain for ${what}; last seen: ${JSON.stringify(last)}`)
}
