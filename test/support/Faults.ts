/**
 * A door in front of every contract of one simulated daemon. It lets calls through until it is told otherwise: a contract or one of its methods
 * is out, a call is held up before or after it did its work, or the daemon is cut off from everything, as a killed process is.
 */
import { Deferred, Effect } from "effect"
import { Outage } from "../../src/layers/Outage.ts"

/** A call that is held up. */
export interface Hold {
  /** Somebody stands before it. */
  readonly reached: Effect.Effect<void>
  readonly isReached: () => boolean
  /** Lets everybody through, also those who come later. */
  readonly release: Effect.Effect<void>
}

interface Held {
  readonly when: "before" | "after"
  reached: boolean
  readonly here: Deferred.Deferred<void>
  readonly gate: Deferred.Deferred<void>
}

export class Faults {
  private readonly out = new Set<string>()
  private readonly bugs = new Set<string>()
  private readonly lost = new Set<string>()
  private readonly holds = new Map<string, Held>()
  /** Calls so far, by `Contract.method`. */
  readonly calls = new Map<string, number>()
  cut = false

  /** `JobStore`, one method of it (`JobStore.claim`), or that with one kind of target (`Transport.consume(Lane)`). */
  fail(...keys: ReadonlyArray<string>): void {
    for (const key of keys) this.out.add(key)
  }

  /** These methods do their work and answer nothing. */
  loseReplies(...keys: ReadonlyArray<string>): void {
    for (const key of keys) this.lost.add(key)
  }

  /** The method has a bug: each call is a defect. */
  breakDown(key: string): void {
    this.bugs.add(key)
  }

  heal(...keys: ReadonlyArray<string>): void {
    for (const set of [this.out, this.lost]) {
      if (keys.length === 0) set.clear()
      for (const key of keys) set.delete(key)
    }
  }

  hold(key: string, when: "before" | "after"): Hold {
    const held: Held = { when, reached: false, here: Deferred.makeUnsafe(), gate: Deferred.makeUnsafe() }
    this.holds.set(key, held)
    return {
      reached: Deferred.await(held.here),
      isReached: () => held.reached,
      release: Effect.suspend(() => {
        if (this.holds.get(key) === held) this.holds.delete(key)
        return Effect.asVoid(Deferred.succeed(held.gate, undefined))
      })
    }
  }

  /** The same service, behind this door. */
  guard<S extends object>(contract: string, service: S): S {
    const guarded: Record<string, unknown> = {}
    for (const [method, value] of Object.entries(service)) {
      const key = `${contract}.${method}`
      if (Effect.isEffect(value)) guarded[method] = this.pass(key, value)
      else if (typeof value === "function") {
        guarded[method] = (...args: ReadonlyArray<unknown>) =>
          this.pass(
            key,
            Effect.suspend(() => value(...args)),
            kindOf(args[0])
          )
      } else guarded[method] = value
    }
    return guarded as S
  }

  private pass<A, E, R>(
    key: string,
    call: Effect.Effect<A, E, R>,
    kind: string | null = null
  ): Effect.Effect<A, E | Outage, R> {
    return Effect.suspend((): Effect.Effect<A, E | Outage, R> => {
      const [contract = "", method = ""] = key.split(".")
      this.calls.set(key, (this.calls.get(key) ?? 0) + 1)
      if (this.cut || this.out.has(contract) || this.out.has(key) || this.out.has(`${key}(${kind})`)) {
        return Effect.fail(new Outage({ of: contract, during: method, cause: "by order" }))
      }
      if (this.bugs.has(key)) return Effect.die(new Error(`${key} is broken by order`))
      if (this.lost.has(key)) {
        return Effect.andThen(
          call,
          Effect.fail(new Outage({ of: contract, during: method, cause: "the answer is lost" }))
        )
      }
      const held = this.holds.get(key)
      if (held === undefined) return call
      const wait = Effect.suspend(() => {
        held.reached = true
        Deferred.doneUnsafe(held.here, Effect.void)
        return Deferred.await(held.gate)
      })
      return held.when === "before" ? Effect.andThen(wait, call) : Effect.tap(call, () => wait)
    })
  }
}

/** Of a tagged argument, its tag. */
const kindOf = (argument: unknown): string | null =>
  typeof argument === "object" && argument !== null && "_tag" in argument ? String(argument._tag) : null
