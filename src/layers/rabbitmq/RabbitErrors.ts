/**
 * What a failure of the broker or its driver means. Almost all of it is an Outage: the connection is gone, a channel was closed, a queue vanished.
 * A queue that stands there with other arguments than ours is told apart, because only an operator can end that. A call that the driver
 * cannot even encode is a bug of this room and stays a defect.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { Outage } from "../Outage.ts"

/** A queue or an exchange exists already and is not what this program declares. */
export class TopologyDrift extends Data.TaggedError("TopologyDrift")<{
  readonly name: string
  /** In the broker's words; it names the argument and both values. */
  readonly said: string
}> {
  override get message(): string {
    return (
      `RabbitMQ has ${this.name} with other arguments than this program declares: ${this.said}. ` +
      `Delete ${this.name} or choose another prefix, then start again; waiting jobs are published again from the store.`
    )
  }
}

/** What the broker answers to a declaration that differs from what is there, and to the use of what is not there. */
const PRECONDITION_FAILED = 406
const NOT_FOUND = 404

const codeOf = (cause: unknown): unknown => (cause instanceof Error && "code" in cause ? cause.code : undefined)

export const isDrift = (cause: unknown): boolean => codeOf(cause) === PRECONDITION_FAILED
export const isMissing = (cause: unknown): boolean => codeOf(cause) === NOT_FOUND

export const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

export const outageOf = (during: string, cause: unknown): Outage => new Outage({ of: "Transport", during, cause })

/** The driver throws a TypeError for fields that it cannot encode, and for nothing else. */
const isBug = (cause: unknown): boolean => cause instanceof TypeError || cause instanceof RangeError

/** An Outage, or a defect where waiting would help nobody. */
export const explained = (during: string, cause: unknown): Effect.Effect<never, Outage> =>
  cause instanceof Outage ? Effect.fail(cause) : isBug(cause) ? Effect.die(cause) : Effect.fail(outageOf(during, cause))

/** Drift that is found while a daemon runs, in a queue that is declared on demand: one lane waits until an operator acts, and the others go on. */
export const waitForOperator =
  (during: string) =>
  <A, R>(effect: Effect.Effect<A, TopologyDrift | Outage, R>): Effect.Effect<A, Outage, R> =>
    Effect.catchTag(effect, "TopologyDrift", (drift) =>
      Effect.andThen(
        Effect.logError("RabbitMQ: a queue is not what this program declares", { drift: drift.message }),
        Effect.fail(outageOf(during, drift))
      )
    )
