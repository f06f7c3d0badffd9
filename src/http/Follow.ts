/**
 * Follows a job to its end for a client that waits on the connection. An outage on the way is waited out, and a reader that was cut though its
 * client keeps up (its job moved to another daemon) goes on from its position; one whose client lags is let go.
 */
import * as Effect from "effect/Effect"
import { JobStreams, type Subscription } from "../actors/job/JobStreams.ts"
import type { Scope } from "../layers/JobRecords.ts"
import { type Outage, waitOut } from "../layers/Outage.ts"
import type { JobId } from "../schemas/Ids.ts"
import type { JobRow } from "../schemas/JobState.ts"
import { type Refusal, refuse } from "../schemas/Refusal.ts"
import type { TokenEvent } from "../schemas/TokenEvent.ts"

/** Cuts without a piece in between after which it is no accident any more. */
const CUTS_MAX = 8

export interface Reader {
  readonly scope: Scope
  readonly jobId: JobId
  /** Gets the pieces of one take together. */
  readonly onPieces: (events: ReadonlyArray<TokenEvent>) => Effect.Effect<void>
  /** True when the client was waited for since the last question. */
  readonly lagged: () => boolean
}

/** The row as it ended. Refused with `overloaded` when the client fell behind; what was read until then stands. */
export const follow = ({
  scope,
  jobId,
  onPieces,
  lagged
}: Reader): Effect.Effect<JobRow, Refusal | Outage, JobStreams> =>
  Effect.gen(function* () {
    const streams = yield* JobStreams
    let position = 0
    let cuts = 0
    const drain = Effect.fnUntraced(function* ({ take }: Subscription) {
      while (true) {
        const events: Array<TokenEvent> = []
        let ended: JobRow | null = null
        let behind = false
        for (const signal of yield* take) {
          if (signal._tag === "Tokens") events.push(...signal.events)
          else if (signal._tag === "Ended") ended = signal.row
          else behind = true
        }
        const last = events.at(-1)
        if (last !== undefined) {
          position = last.seq
          cuts = 0
          yield* onPieces(events)
        }
        if (ended !== null) return ended
        if (behind) return null
      }
    })
    while (true) {
      const row = yield* waitOut(
        Effect.scoped(Effect.suspend(() => Effect.flatMap(streams.subscribe(scope, jobId, position), drain)))
      )
      if (row !== null) return row
      cuts += 1
      if (lagged() || cuts > CUTS_MAX) return yield* behindAt(jobId, position)
    }
  })

const behindAt = (jobId: JobId, position: number): Refusal =>
  refuse(
    "overloaded",
    `The stream was read too slowly and is cut after piece ${position}. The job goes on: read the rest at /v1/jobs/${jobId}/events?after=${position}.`,
    { jobId }
  )
