/**
 * Keys that may do less for a while, because a detector has an episode of abuse open about them. Looked up every few seconds, so no request waits for
 * it; while nobody can say, what was known last holds.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { Incidents } from "../layers/Incidents.ts"
import type { ApiKey } from "../schemas/Namespace.ts"
import type { Incident } from "../schemas/Incident.ts"

const LOOK_EVERY = "5 seconds"
/** Open episodes that are looked at. */
const THROTTLED_MAX = 1_000

const isThrottled = Schema.is(Schema.Struct({ throttlePerSecond: Schema.Int }))

const throttlesOf = (open: ReadonlyArray<Incident>): ReadonlyMap<string, number> =>
  new Map(
    open.flatMap(({ keyId, observed }) =>
      keyId !== undefined && isThrottled(observed) ? [[keyId, observed.throttlePerSecond] as const] : []
    )
  )

export class Throttles extends Context.Service<
  Throttles,
  {
    /** Requests a second that this key may make right now. */
    readonly rateOf: (key: Pick<ApiKey, "id" | "ratePerSecond">) => number
    /** Looks now. */
    readonly look: Effect.Effect<void>
  }
>()("resultity/http/Throttles") {
  static readonly layer = Layer.effect(
    Throttles,
    Effect.gen(function* () {
      const incidents = yield* Incidents
      let throttles: ReadonlyMap<string, number> = new Map()
      const query = { type: "abuse", open: true, limit: THROTTLED_MAX } as const
      const look = incidents.list({ _tag: "Operator", by: "listener/public" }, query).pipe(
        Effect.map((open) => void (throttles = throttlesOf(open))),
        Effect.catchTag("Outage", ({ during }) => Effect.logDebug("throttles not looked for", { during }))
      )
      yield* Effect.forkScoped(Effect.schedule(look, Schedule.spaced(LOOK_EVERY)))
      return Throttles.of({
        rateOf: ({ id, ratePerSecond }) => Math.min(ratePerSecond, throttles.get(id) ?? ratePerSecond),
        look
      })
    })
  )
}
