/** A client that reads a job to its end, piece by piece, and notices every gap and repeat. */
import { Effect, Fiber } from "effect"
import { JobStreams } from "../../src/actors/job/JobStreams.ts"
import type { JobId } from "../../src/schemas/Ids.ts"
import type { JobRow } from "../../src/schemas/JobState.ts"
import type { TokenEvent } from "../../src/schemas/TokenEvent.ts"

export interface Reading {
  readonly events: Array<TokenEvent>
  /** Set by the last signal. */
  row: JobRow | null
  /** Set when it was cut off. */
  behind: number | null
  readonly fiber: Fiber.Fiber<void, unknown>
}

export const textOf = ({ events }: Pick<Reading, "events">, choice = 0): string =>
  events
    .filter((event) => event.choice === choice)
    .map(({ text }) => text)
    .join("")

export const readAll = (jobId: JobId, afterSeq: number) =>
  Effect.gen(function* () {
    const streams = yield* JobStreams
    const reading = { events: new Array<TokenEvent>(), row: null as JobRow | null, behind: null as number | null }
    const follow = Effect.gen(function* () {
      const { take } = yield* streams.subscribe({ _tag: "Operator", by: "test" }, jobId, afterSeq)
      while (reading.row === null && reading.behind === null) {
        for (const signal of yield* take) {
          if (signal._tag === "Ended") reading.row = signal.row
          else if (signal._tag === "Behind") reading.behind = signal.lastSeq
          else for (const event of signal.events) add(reading.events, event, afterSeq)
        }
      }
    })
    const fiber = yield* Effect.forkScoped(Effect.scoped(follow))
    return Object.assign(reading, { fiber }) as Reading
  })

const add = (events: Array<TokenEvent>, event: TokenEvent, afterSeq: number) => {
  const due = afterSeq + events.length + 1
  if (event.seq !== due) throw new Error(`piece ${event.seq} came, ${due} was due`)
  events.push(event)
}
