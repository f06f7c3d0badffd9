/**
 * An actor that does what it is told, and a journal of what happened to all of them. An order is a function from the state
 * (how many orders this incarnation has obeyed) to an effect: answering, failing, dying, hanging are all just orders.
 */
import { Data, Effect, Layer } from "effect"
import type { ActorContext, ActorSpec } from "../../src/kernel/Actor.ts"
import { ActorEvents } from "../../src/kernel/ActorEvents.ts"
import type { ActorRef } from "../../src/kernel/ActorRef.ts"
import { Registry } from "../../src/kernel/Registry.ts"
import * as Supervisor from "../../src/kernel/Supervisor.ts"

export type Order = (obeyed: number, self: ActorContext<Order>) => Effect.Effect<number, unknown>
export type Puppet = ActorRef<Order>

export class Told extends Data.TaggedError("Told")<{ readonly message: string }> {}

export const fail: Order = () => Effect.fail(new Told({ message: "told to fail" }))
export const die: Order = () => Effect.die(new Error("told to die"))
export const hang: Order = () => Effect.never
export const stop: Order = (_, self) => self.stop
export const nothing: Order = (obeyed) => Effect.succeed(obeyed + 1)

/** How many orders this incarnation has obeyed: 0 right after a restart. */
export const obeyed = (puppet: Puppet) =>
  puppet.ask<number>(
    (reply) => (obeyed) =>
      Effect.sync(() => {
        reply.succeed(obeyed)
        return obeyed + 1
      }),
    "1 hour"
  )

export const kernel = Layer.mergeAll(Registry.layer, ActorEvents.layer)

/** Waits for something that happens by itself, without moving the clock. */
export const until = (condition: () => boolean) =>
  Effect.gen(function* () {
    for (let turns = 0; !condition(); turns++) {
      if (turns > 10_000) return yield* Effect.die(new Error(`never happened: ${condition.toString()}`))
      yield* Effect.yieldNow
    }
  })

/** Lets everything that can happen now happen. */
export const quiet = Effect.yieldNow.pipe(Effect.repeat({ times: 20 }))

export class Stage {
  readonly journal: Array<string> = []
  /** How many of the next inits of an address fail. */
  readonly failingInits = new Map<string, number>()

  note(what: string): void {
    this.journal.push(what)
  }

  /** Empties the journal and returns what was in it. */
  read(): Array<string> {
    return this.journal.splice(0)
  }

  spec(address: string, options: Partial<ActorSpec<Order, number>> = {}): ActorSpec<Order, number> {
    return {
      address,
      kind: "puppet",
      restart: "permanent",
      behavior: {
        init: () => this.init(address),
        receive: (obeyed, order, self) => order(obeyed, self),
        stop: (_, reason) => Effect.sync(() => this.note(`${address} ended: ${reason._tag}`))
      },
      ...options
    }
  }

  private init(address: string): Effect.Effect<number, Told> {
    const failing = this.failingInits.get(address) ?? 0
    if (failing > 0) {
      this.failingInits.set(address, failing - 1)
      this.note(`${address} failed to start`)
      return Effect.fail(new Told({ message: "told to fail in init" }))
    }
    this.note(`${address} started`)
    return Effect.succeed(0)
  }
}

export const options = (over: Partial<Supervisor.SupervisorOptions> = {}): Supervisor.SupervisorOptions => ({
  address: "root",
  strategy: "oneForOne",
  intensity: 3,
  period: "10 seconds",
  backoff: { first: "1 second", max: "8 seconds" },
  ...over
})

/** A root supervisor with puppets a, b and c. */
export const trio = (over: Partial<Supervisor.SupervisorOptions> = {}, spec: Partial<ActorSpec<Order, number>> = {}) =>
  Effect.gen(function* () {
    const stage = new Stage()
    const supervisor = yield* Supervisor.make(options(over))
    const a = yield* supervisor.start(stage.spec("a", spec))
    const b = yield* supervisor.start(stage.spec("b", spec))
    const c = yield* supervisor.start(stage.spec("c", spec))
    yield* until(() => stage.journal.length === 3)
    stage.read()
    return { stage, supervisor, a, b, c }
  })
