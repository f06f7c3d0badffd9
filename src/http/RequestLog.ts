/** One line a request: what was asked for by pattern, how it went, how long it took. Never a body, a key, or a query. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/** Turns the lines off; failures are still logged where they happen. */
export const LogRequests = Context.Reference<boolean>("resultity/http/LogRequests", { defaultValue: () => true })

export interface RequestLine {
  readonly method: string
  /** The route's pattern, or `-` for a path that is none. */
  readonly route: string
  readonly status: number
  readonly ms: number
  readonly requestId: string
  readonly code?: string
}

export const logRequest = (line: RequestLine): Effect.Effect<void> =>
  Effect.flatMap(LogRequests, (on) => (on ? Effect.logInfo("request", line) : Effect.void))
