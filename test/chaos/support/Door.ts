/**
 * A door in front of every contract of one simulated daemon and in front of its agents' sockets. At each crossing it asks the plan what is to
 * happen there, and it writes down what took effect. A killed daemon gets no further than its next door.
 */
import { Context, Effect } from "effect"
import { Outage } from "../../../src/layers/Outage.ts"
import type { Consumer, Delivery } from "../../../src/layers/Transport.ts"
import type { FaultKind } from "./Points.ts"
import type { PointFault } from "./Plan.ts"
import type { Process } from "./Sim.ts"

/** Counts crossings over all daemons of a run and says what was planned for this one. */
export class Crossings {
  readonly counts = new Map<string, number>()
  /** `point kind` for each fault that came to pass. */
  readonly hit: Array<string> = []
  private readonly planned = new Map<string, Array<PointFault>>()
  enabled = true

  constructor(faults: ReadonlyArray<PointFault>) {
    this.plan(faults)
  }

  /** From here on these, counted anew. */
  plan(faults: ReadonlyArray<PointFault>): void {
    this.enabled = true
    this.counts.clear()
    this.planned.clear()
    for (const { point } of faults) this.planned.set(point, [])
    for (const fault of faults) this.planned.get(fault.point)?.push(fault)
  }

  cross(point: string): PointFault | undefined {
    const planned = this.planned.get(point)
    if (!this.enabled || planned === undefined) return undefined
    const count = (this.counts.get(point) ?? 0) + 1
    this.counts.set(point, count)
    const fault = planned.find(({ nth }) => nth === count)
    if (fault !== undefined) this.hit.push(`${point} ${fault.kind}`)
    return fault
  }
}

export interface DoorHouse {
  readonly process: Process
  readonly now: () => number
  readonly crossings: Crossings
  /** Contracts that are out by the clock. */
  readonly isOut: (contract: string) => boolean
  readonly wrote: (point: string, args: ReadonlyArray<unknown>, result: unknown) => void
  readonly crash: (why: string) => void
  /** Runs what comes late, whatever became of the daemon. */
  readonly later: (ms: number, effect: Effect.Effect<unknown, unknown>) => void
}

type Call = Effect.Effect<unknown, unknown, never>

/** What is done with a call that a fault was planned for. */
const suffer = (house: DoorHouse, point: string, { kind, ms }: PointFault, call: Call): Call => {
  const { process } = house
  const outage = Effect.suspend(() => Effect.fail(outageAt(point, "by plan")))
  const crash = Effect.suspend(() => {
    house.crash(`${point} ${kind}`)
    return Effect.never
  })
  const freeze = Effect.suspend(() => {
    process.freeze(ms)
    return process.stand
  })
  switch (kind as FaultKind) {
    case "fail":
      return outage
    case "loseReply":
      return Effect.andThen(call, outage)
    case "late":
      house.later(ms, call)
      return outage
    case "slowBefore":
      return Effect.andThen(process.pause(ms), call)
    case "slowAfter":
      return Effect.tap(call, () => process.pause(ms))
    case "repeat":
      return Effect.tap(call, () => Effect.ignore(call))
    case "crashBefore":
      return crash
    case "crashAfter":
      return Effect.andThen(Effect.exit(call), crash)
    case "freezeBefore":
      return Effect.andThen(freeze, call)
    case "freezeAfter":
      return Effect.tap(call, () => freeze)
    default:
      return call
  }
}

const outageAt = (point: string, cause: string) => {
  const [of = "", during = ""] = point.split(".")
  return new Outage({ of, during, cause })
}

const pass = (house: DoorHouse, point: string, args: ReadonlyArray<unknown>, body: () => Call): Call => {
  const [contract = ""] = point.split(".")
  const call = Effect.map(Effect.suspend(body), (result) => {
    house.wrote(point, args, result)
    return result
  })
  return Effect.suspend(() => {
    const { process } = house
    if (process.dead || process.isFrozen) return Effect.andThen(process.stand, pass(house, point, args, body))
    if (house.isOut(contract)) return Effect.fail(outageAt(point, "out"))
    const fault = house.crossings.cross(point)
    return fault === undefined ? call : Effect.tap(suffer(house, point, fault, call), () => process.stand)
  })
}

/** The same service, behind this door. */
export const guard = <S extends object>(house: DoorHouse, contract: string, service: S): S => {
  const guarded: Record<string, unknown> = {}
  for (const [method, value] of Object.entries(service)) {
    const point = `${contract}.${method}`
    if (Effect.isEffect(value)) guarded[method] = pass(house, point, [], () => value as Call)
    else if (typeof value === "function") {
      guarded[method] = (...args: ReadonlyArray<unknown>) => pass(house, point, args, () => value(...args) as Call)
    } else guarded[method] = value
  }
  return guarded as S
}

/** Deliveries get points of their own: taken, acknowledged, given back. */
export const guardConsumers = <S extends { readonly consume: unknown }>(house: DoorHouse, transport: S): S => {
  const consume = transport.consume as (...args: ReadonlyArray<unknown>) => Effect.Effect<Consumer, unknown>
  const guarded = (...args: ReadonlyArray<unknown>) =>
    Effect.map(consume(...args), ({ take }): Consumer => ({
      take: pass(house, "Transport.take", args, () =>
        Effect.map(take, (deliveries) => deliveries.map((delivery) => guardDelivery(house, delivery)))
      ) as Consumer["take"]
    }))
  return { ...transport, consume: guarded }
}

const guardDelivery = (house: DoorHouse, delivery: Delivery): Delivery => {
  const settle = (point: string, effect: Effect.Effect<void>) =>
    pass(house, point, [delivery.envelope], () => effect) as Effect.Effect<void>
  const { envelope, redelivered, ack, nack } = delivery
  return {
    envelope,
    redelivered,
    ack: settle("Transport.ack", ack),
    nack: settle("Transport.nack", nack)
  }
}

export const guardAll = (
  house: DoorHouse,
  stores: Context.Context<never>,
  contracts: Readonly<Record<string, Context.Key<never, object>>>
): Context.Context<never> => {
  let guarded = stores
  for (const [name, tag] of Object.entries(contracts)) {
    const service = Context.get(stores as never, tag) as object
    const behind = guard(house, name, service)
    guarded = Context.add(
      guarded,
      tag,
      (name === "Transport" ? guardConsumers(house, behind as never) : behind) as never
    )
  }
  return guarded
}
