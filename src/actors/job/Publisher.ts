/**
 * Publishes what a transaction just promised, at once, and takes it out of the outbox when the broker confirmed. What it cannot take or
 * publish stays in the outbox, where the relay sweep finds it: this is the fast way, not the only one.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import type { Envelope } from "../../schemas/Envelope.ts"
import { Outbox } from "../../layers/Outbox.ts"
import { withParent } from "../../layers/Traced.ts"
import { Transport, type Target } from "../../layers/Transport.ts"

export interface Promised {
  readonly target: Target
  readonly envelope: Envelope
}

const WAITING_MAX = 8192
const BATCH_MAX = 256
const AT_ONCE = 32

export class Publisher extends Context.Service<
  Publisher,
  {
    /** False when too many wait already: the relay will do it. */
    readonly offer: (promised: Promised) => boolean
  }
>()("resultity/actors/job/Publisher") {
  static readonly layer = Layer.effect(
    Publisher,
    Effect.gen(function* () {
      const transport = yield* Transport
      const outbox = yield* Outbox
      const waiting = yield* Queue.bounded<Promised>(WAITING_MAX)
      const publishOne = ({ target, envelope }: Promised) =>
        transport.publish(target, envelope).pipe(
          withParent(envelope.traceparent),
          Effect.as([envelope.id]),
          Effect.catch(() => Effect.succeed([]))
        )
      const pass = Effect.gen(function* () {
        const batch = yield* Queue.takeBetween(waiting, 1, BATCH_MAX)
        const sent = yield* Effect.forEach(batch, publishOne, { concurrency: AT_ONCE })
        yield* Effect.catch(outbox.sent(sent.flat()), ({ during }) =>
          Effect.logWarning("published messages stay in the outbox", { during })
        )
      })
      yield* Effect.forkScoped(Effect.forever(pass))
      return Publisher.of({ offer: (promised) => Queue.offerUnsafe(waiting, promised) })
    })
  )
}
