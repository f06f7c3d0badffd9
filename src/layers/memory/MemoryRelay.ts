/** Pieces between daemons of one process. `make` gives a hub that several daemons of a test share; alone, nobody else is there to send to. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import type { DaemonId } from "../../schemas/Ids.ts"
import { Outage } from "../Outage.ts"
import { Relay, make as makeRelay, RELAYED_MAX, type RelayedPieces } from "../Relay.ts"

type Receivers = Queue.Queue<RelayedPieces, Outage>

export interface Hub {
  readonly receivers: Map<DaemonId, Set<Receivers>>
  isOut: boolean
}

export const make = (): Hub => ({ receivers: new Map(), isOut: false })

const out = (during: string) => new Outage({ of: "Relay", during, cause: new Error("the relay is out") })

/** For tests: while on, every call fails, and who receives has to begin anew. */
export const outage = (hub: Hub, on: boolean): void => {
  hub.isOut = on
  for (const queue of [...hub.receivers.values()].flatMap((queues) => [...queues])) {
    Queue.failCauseUnsafe(queue, Cause.fail(out("take")))
  }
}

/** The relay of a daemon over this hub. */
export const over = (hub: Hub): Layer.Layer<Relay> => {
  const whenUp = <A>(during: string, body: Effect.Effect<A>): Effect.Effect<A, Outage> =>
    Effect.suspend(() => (hub.isOut ? Effect.fail(out(during)) : body))
  return Layer.succeed(
    Relay,
    makeRelay({
      send: (to, pieces) =>
        whenUp(
          "send",
          Effect.sync(() => {
            for (const queue of hub.receivers.get(to) ?? []) Queue.offerUnsafe(queue, pieces)
          })
        ),
      receive: (daemonId) =>
        Effect.gen(function* () {
          if (hub.isOut) return yield* out("receive")
          const queue = yield* Queue.sliding<RelayedPieces, Outage>(RELAYED_MAX)
          const mine = hub.receivers.get(daemonId) ?? new Set()
          hub.receivers.set(daemonId, mine.add(queue))
          yield* Effect.addFinalizer(() =>
            Effect.sync(() => {
              mine.delete(queue)
              if (mine.size === 0) hub.receivers.delete(daemonId)
            })
          )
          return { take: Queue.takeAll(queue) }
        })
    })
  )
}

export const layer: Layer.Layer<Relay> = Layer.suspend(() => over(make()))
