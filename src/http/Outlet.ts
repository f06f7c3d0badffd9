/**
 * An answer written straight to the socket as it comes. The head goes out with the first text, so until then a failure can still be an ordinary error
 * answer. What a client does not read is not made: whoever writes waits for it, and gives it up when it reads nothing for too long.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Metrics from "../layers/Metrics.ts"
import type { Call } from "./Call.ts"

/** How long a client may read nothing while its share of the buffer is full. */
const STALLED_AFTER = "30 seconds"

export interface Outlet {
  /** False: the client has to be waited for (`drained`). Nothing happens once the answer is over. */
  readonly put: (text: string | Uint8Array) => boolean
  /** Waits while the client reads slower than this is written. */
  readonly write: (text: string | Uint8Array) => Effect.Effect<void>
  /** True once the head is out: from then on failures cannot be told as an answer. */
  readonly started: () => boolean
  /** Ends the answer; the result is what the handler returns. */
  readonly end: (last: string) => Effect.Effect<HttpServerResponse.HttpServerResponse>
}

export const make = (call: Call, head: Readonly<Record<string, string>>): Outlet => {
  const { outgoing } = call
  const put = (text: string | Uint8Array): boolean => {
    if (isOver(call)) return true
    if (!outgoing.headersSent) outgoing.writeHead(200, { ...call.answerHeaders, ...head })
    return text.length === 0 || outgoing.write(text)
  }
  return {
    put,
    write: (text) => Effect.suspend(() => (put(text) ? Effect.void : drained(call))),
    started: () => outgoing.headersSent,
    end: (last) =>
      Effect.sync(() => {
        if (!isOver(call)) {
          put(last)
          outgoing.end()
        }
        return HttpServerResponse.empty()
      })
  }
}

export const isOver = ({ outgoing }: Call): boolean => outgoing.writableEnded || outgoing.destroyed

/** Breaks the answer off, so that its reader sees that it is not whole. This interrupts the call. */
export const cut = (call: Call): Effect.Effect<void> =>
  Effect.sync(() => {
    call.cutOff = true
    call.outgoing.destroy()
  })

/** A client that reads nothing for too long is cut off: its connection is closed, which interrupts the call, and the job goes on. */
export const drained = (call: Call): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const { outgoing } = call
    const done = () => resume(Effect.void)
    outgoing.once("drain", done).once("close", done)
    return Effect.sync(() => void outgoing.off("drain", done).off("close", done))
  }).pipe(
    Effect.timeoutOrElse({
      duration: STALLED_AFTER,
      orElse: () => Effect.andThen(cut(call), Metric.update(Metrics.subscribersCut, 1))
    })
  )
