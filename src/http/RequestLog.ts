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

/** Asked every few seconds by whoever keeps the daemon running; good answers to them are nobody's news. */
const PROBES: ReadonlySet<string> = new Set(["/healthz", "/readyz"])

export const logRequest = (line: RequestLine): Effect.Effect<void> =>
  Effect.flatMap(LogRequests, (on) => {
    if (!on) return Effect.void
    return line.status < 400 && PROBES.has(line.route)
      ? Effect.logDebug("request", line)
      : Effect.logInfo("request", line)
  })
