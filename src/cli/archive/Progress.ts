/** How far a long run is, on one line of stderr that is written over, and only when a terminal shows it. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { Output } from "../Output.ts"

export interface Progress {
  /** One more segment is through, of so many bytes. */
  readonly through: (bytes: number) => Effect.Effect<void>
  readonly end: Effect.Effect<void>
}

const EVERY_MS = 250

export const progress = Effect.fnUntraced(function* (total: number) {
  const { status } = yield* Output
  const began = yield* Clock.currentTimeMillis
  let [done, bytes, shown] = [0, 0, began]
  return {
    through: Effect.fnUntraced(function* (size: number) {
      done++
      bytes += size
      const now = yield* Clock.currentTimeMillis
      if (now - shown < EVERY_MS) return
      shown = now
      yield* status(lineOf({ done, total, bytes, ms: now - began }))
    }),
    end: status(null)
  } satisfies Progress
})

interface Stand {
  readonly done: number
  readonly total: number
  readonly bytes: number
  readonly ms: number
}

/** Time left by the number of segments: their sizes are not known before they are read. Never wider than a terminal. */
export const lineOf = ({ done, total, bytes, ms }: Stand): string => {
  const rate = `${size((bytes * 1000) / Math.max(ms, 1))}/s`
  const left = done === 0 ? "" : `, ${span((ms / done) * (total - done))} left`
  return `${done} of ${total} segments, ${size(bytes)}, ${rate}${left}`
}

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"] as const

export const size = (bytes: number): string => {
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log10(bytes) / 3), UNITS.length - 1)
  const value = bytes / 1000 ** power
  return `${power === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[power] ?? ""}`
}

export const span = (ms: number): string => {
  const seconds = Math.ceil(ms / 1000)
  if (seconds < 120) return `${seconds} s`
  return seconds < 7200 ? `${Math.ceil(seconds / 60)} min` : `${Math.ceil(seconds / 3600)} h`
}
