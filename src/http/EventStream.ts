/**
 * Server-sent events written straight to the socket: one write for what came together, and a comment when nothing came for a while. The head
 * goes out with the first text, so until then a failure can still be an ordinary error answer.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Metrics from "../layers/Metrics.ts"
import type { Call } from "./Call.ts"

const HEARTBEAT_EVERY = "5 seconds"
/** How long a client may read nothing while its share of the buffer is full. */
const STALLED_AFTER = "30 seconds"

export interface EventStream {
  /** Waits while the client reads slower than the job writes. */
  readonly write: (text: string) => Effect.Effect<void>
  /** True once the head is out: from then on failures are told within the stream. */
  readonly started: () => boolean
  /** True when the client had to be waited for since the last call. */
  readonly lagged: () => boolean
  /** Ends the stream; the result is what the handler returns. */
  readonly end: (last: string) => Effect.Effect<HttpServerResponse.HttpServerResponse>
}

export const make = (call: Call): Effect.Effect<EventStream, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { outgoing } = call
    let quiet = true
    let lagged = false
    const put = (text: string): boolean => {
      if (!outgoing.headersSent) outgoing.writeHead(200, { ...call.answerHeaders, ...HEAD })
      quiet = false
      return outgoing.write(text)
    }
    const write = (text: string): Effect.Effect<void> =>
      Effect.suspend(() => {
        if (text === "" || isOver(call) || put(text)) return Effect.void
        lagged = true
        return drained(call)
      })
    const beat = Effect.sync(() => {
      if (quiet && !isOver(call)) put(": keep-alive\n\n")
      quiet = true
    })
    yield* Effect.forkScoped(Effect.schedule(beat, Schedule.spaced(HEARTBEAT_EVERY)))
    return {
      write,
      started: () => outgoing.headersSent,
      lagged: () => {
        const was = lagged
        lagged = false
        return was
      },
      end: (last) =>
        Effect.sync(() => {
          if (!isOver(call)) {
            if (last !== "" || !outgoing.headersSent) put(last)
            outgoing.end()
          }
          return HttpServerResponse.empty()
        })
    }
  })

const HEAD = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no"
} as const

const isOver = ({ outgoing }: Call): boolean => outgoing.writableEnded || outgoing.destroyed

/** A client that reads nothing for too long is cut off: its connection is closed, which interrupts the call, and the job goes on. */
const drained = (call: Call): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const { outgoing } = call
    const done = () => resume(Effect.void)
    outgoing.once("drain", done).once("close", done)
    return Effect.sync(() => void outgoing.off("drain", done).off("close", done))
  }).pipe(
    Effect.timeoutOrElse({
      duration: STALLED_AFTER,
      orElse: () =>
        Effect.suspend(() => {
          call.cutOff = true
          call.outgoing.destroy()
          return Metric.update(Metrics.subscribersCut, 1)
        })
    })
  )
