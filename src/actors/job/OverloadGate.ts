/**
 * Closes the door while too much waits behind it: messages that the broker did not take, or jobs in the fullest lane. Looked at once a second,
 * so an admission costs no question; the bounds are therefore passed by at most a second's worth of jobs.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Outbox } from "../../layers/Outbox.ts"
import { Settings } from "../../layers/Settings.ts"
import { Transport } from "../../layers/Transport.ts"
import { refuse, type Refusal } from "../../schemas/Refusal.ts"

const LOOK_EVERY = "1 second"
const RETRY_AFTER_MS = 2000

export class OverloadGate extends Context.Service<
  OverloadGate,
  {
    /** Refused with `overloaded`. */
    readonly check: Effect.Effect<void, Refusal>
  }
>()("resultity/actors/job/OverloadGate") {
  static readonly layer = Layer.effect(
    OverloadGate,
    Effect.gen(function* () {
      const outbox = yield* Outbox
      const transport = yield* Transport
      const settings = yield* Settings
      let closed: string | null = null
      const look = Effect.gen(function* () {
        const { settings: rules } = yield* settings.current
        const unsent = yield* outbox.depth
        if (unsent > rules.outboxMax) return "Too many jobs wait to be published."
        const fullest = Math.max(0, ...(yield* transport.depths).map(({ ready }) => ready))
        return fullest > rules.laneMax ? "Too many jobs wait for their turn." : null
      })
      // While the broker is out, the outbox still tells how much waits; while the store is out, admission fails by itself.
      const watch = Effect.catch(look, () => Effect.succeed(null)).pipe(
        Effect.map((found) => void (closed = found)),
        Effect.andThen(Effect.sleep(LOOK_EVERY)),
        Effect.forever
      )
      yield* Effect.forkScoped(watch)
      return OverloadGate.of({
        check: Effect.suspend(() =>
          closed === null
            ? Effect.void
            : Effect.fail(refuse("overloaded", `${closed} Try again shortly.`, { retryAfterMs: RETRY_AFTER_MS }))
        )
      })
    })
  )
}
