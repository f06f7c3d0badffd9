/** How far an export is, on one line of stderr that is written over, and only when a terminal shows it. How much is left nobody knows beforehand. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { size } from "../archive/Progress.ts"
import { Output } from "../Output.ts"

const EVERY_MS = 250

export interface Stand {
  readonly rows: number
  readonly bytes: number
  readonly ms: number
}

export const lineOf = ({ rows, bytes, ms }: Stand): string => {
  const perSecond = (count: number) => (count * 1000) / Math.max(ms, 1)
  return `${rows} rows, ${size(bytes)}, ${Math.round(perSecond(rows))} rows/s, ${size(perSecond(bytes))}/s`
}

/** Shows what `stand` says, now and then. */
export const progress = Effect.fnUntraced(function* (stand: () => Omit<Stand, "ms">) {
  const { status } = yield* Output
  const began = yield* Clock.currentTimeMillis
  let shown = began
  return {
    step: Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      if (now - shown < EVERY_MS) return
      shown = now
      yield* status(lineOf({ ...stand(), ms: now - began }))
    }),
    end: status(null)
  }
})
