/**
 * What truly passed between one daemon and the broker, written down beneath everything that could lie about it: a message that the broker has,
 * a delivery that it took back or was told is done with. An ack that came too late for its channel changes nothing and is not written.
 */
import { Context, Effect } from "effect"
import { Transport, type Consumer, type Delivery, type Target } from "../../../src/layers/Transport.ts"
import type { Envelope } from "../../../src/schemas/Envelope.ts"
import type { Stores } from "./ChaosDaemon.ts"

export type Wrote = (point: string, args: ReadonlyArray<unknown>, result: unknown) => void

export const tapTransport = (stores: Stores, wrote: Wrote): Stores => {
  const transport = Context.get(stores, Transport)
  const publish = (target: Target, envelope: Envelope) =>
    // A confirm that fails is no proof that the broker does not have it.
    Effect.onExit(transport.publish(target, envelope), (exit) =>
      Effect.sync(() => wrote("Transport.publish", [target, envelope], exit._tag === "Success"))
    )
  const tap = (delivery: Delivery): Delivery => {
    const held = delivery as Delivery & { readonly open?: boolean }
    const settle = (point: string, effect: Effect.Effect<void>) =>
      Effect.suspend(() => {
        const counts = held.open !== false
        return Effect.map(effect, () => {
          if (counts) wrote(point, [held.envelope], null)
        })
      })
    const { envelope, redelivered } = held
    return { envelope, redelivered, ack: settle("Transport.ack", held.ack), nack: settle("Transport.nack", held.nack) }
  }
  const consume: Transport["Service"]["consume"] = (source, prefetch) =>
    Effect.map(transport.consume(source, prefetch), ({ take }): Consumer => {
      let held: ReadonlyArray<Delivery> = []
      const taken = (deliveries: ReadonlyArray<Delivery>) => {
        held = [...held, ...deliveries].filter((one) => (one as { readonly open?: boolean }).open === true)
        wrote("Transport.take", [source, prefetch], held.length)
        return deliveries.map(tap)
      }
      return { take: Effect.map(take, taken) }
    })
  return Context.add(stores, Transport, { ...transport, publish, consume })
}
