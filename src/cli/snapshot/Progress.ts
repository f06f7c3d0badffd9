/** How far long work is, on one line of stderr: rows, bytes, rate, time left. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { WorkProgress } from "../../schemas/Work.ts"
import { size, span } from "../archive/Progress.ts"
import { Output } from "../Output.ts"

const EVERY_MS = 250

export interface Stand extends WorkProgress {
  readonly perSecond: number
  readonly leftMs: number | null
}

/** Never wider than a terminal. */
export const lineOf = ({ done, total, unit, bytes, perSecond, leftMs }: Stand): string => {
  const of = total === null ? "" : ` of about ${total}`
  const left = leftMs === null ? "" : `, ${span(leftMs)} left`
  return `${done}${of} ${unit}, ${size(bytes)}, ${Math.round(perSecond)}/s${left}`
}

/** For work that this process does itself. */
export const reporting = Effect.gen(function* () {
  const { status } = yield* Output
  const began = yield* Clock.currentTimeMillis
  let shown = began
  return (progress: WorkProgress): Effect.Effect<void> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      if (now - shown < EVERY_MS) return Effect.void
      shown = now
      const { done, total } = progress
      const perSecond = (done * 1000) / Math.max(now - began, 1)
      const leftMs = total === null || done === 0 ? null : (Math.max(total - done, 0) / perSecond) * 1000
      return status(lineOf({ ...progress, perSecond, leftMs }))
    })
})
