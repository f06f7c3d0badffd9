/**
 * Server-sent events written straight to the socket: one write for what came together, and a comment when nothing came for a while.
 */
import * as Effect from "effect/Effect"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { Call } from "./Call.ts"
import * as Outlet from "./Outlet.ts"

const HEARTBEAT_EVERY = "5 seconds"

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

const HEAD = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no"
} as const

export const make = (call: Call): Effect.Effect<EventStream, never, Scope.Scope> =>
  Effect.gen(function* () {
    const outlet = Outlet.make(call, HEAD)
    let quiet = true
    let lagged = false
    const write = (text: string): Effect.Effect<void> =>
      Effect.suspend(() => {
        if (text === "" || Outlet.isOver(call)) return Effect.void
        quiet = false
        if (outlet.put(text)) return Effect.void
        lagged = true
        return Outlet.drained(call)
      })
    const beat = Effect.sync(() => {
      if (quiet) outlet.put(": keep-alive\n\n")
      quiet = true
    })
    yield* Effect.forkScoped(Effect.schedule(beat, Schedule.spaced(HEARTBEAT_EVERY)))
    return {
      write,
      started: outlet.started,
      lagged: () => {
        const was = lagged
        lagged = false
        return was
      },
      end: outlet.end
    }
  })
