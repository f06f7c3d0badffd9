/**
 * What truly passed between one daemon and the broker, written down beneath everything that could lie about it: a message that the broker has,
 * a delivery that it took back or was told is done with. An ack that came too late for its channel changes nothing and is not written.
 */
import { Context, Effect } from "effect"
import { Transport, type Consumer, type Delivery, type Target } from "../../../src/layers/Transport.ts"
import type { Envelope } from "../../../src/schemas/Envelope.ts"
import type { Stores } from "./ChaosDaemon.ts"

export type Wrote = (point: string, args: ReadonlyArray<unknown>, result: unknown) => void

/** Who holds a candidacy of a sweeper, by sweeper and daemon; shared by all daemons of a run. */
export type Standing = Map<string, Map<string, () => boolean>>

export interface TapHouse {
  readonly daemon: string
  readonly wrote: Wrote
  readonly standing: Standing
}

const stand = ({ daemon, wrote, standing }: TapHouse, name: string, holds: () => boolean): void => {
  const known = standing.get(name) ?? new Map<string, () => boolean>()
  standing.set(name, known.set(daemon, holds))
  const holding = [...known].flatMap(([who, holdsNow]) => (holdsNow() ? [who] : []))
  wrote("Transport.lead", [name], holding)
}

const isOpen = (delivery: Delivery) => (delivery as { readonly open?: boolean }).open === true

export const tapTransport = (stores: Stores, house: TapHouse): Stores => {
  const { wrote } = house
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
    return {
      envelope,
      redelivered,
      ack: settle("Transport.ack", held.ack),
      nack: settle("Transport.nack", held.nack)
    }
  }
  const consume: Transport["Service"]["consume"] = (source, prefetch) =>
    Effect.map(transport.consume(source, prefetch), ({ take }): Consumer => {
      let held: ReadonlyArray<Delivery> = []
      const taken = (deliveries: ReadonlyArray<Delivery>) => {
        held = [...held, ...deliveries].filter(isOpen)
        const again = deliveries.filter(({ redelivered }) => redelivered).length
        wrote("Transport.take", [source, prefetch, again], held.length)
        if (source._tag === "Sweeper") stand(house, source.name, () => held.some(isOpen))
        return deliveries.map(tap)
      }
      return { take: Effect.map(take, taken) }
    })
  return Context.add(stores, Transport, { ...transport, publish, consume })
}
