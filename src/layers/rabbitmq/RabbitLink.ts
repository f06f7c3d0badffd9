/**
 * Keeps one connection to the broker alive for as long as the scope lives: when it ends, the next one is opened after a short random pause, and prepared
 * before anybody gets it. Nobody waits here for the broker to come back: while it is away, whoever asks is told so at once.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import { Outage } from "../Outage.ts"
import { type ConnectionOptions, open, type RabbitConnection } from "./RabbitConnection.ts"
import { messageOf, outageOf, TopologyDrift } from "./RabbitErrors.ts"

/** A pause is random up to a bound that doubles from the first to the last, so that daemons do not come back all at once. */
const PAUSE_FIRST_MS = 50
const PAUSE_LAST_MS = 2_000

export type Prepare<S> = (connection: RabbitConnection) => Effect.Effect<S, Outage | TopologyDrift, Scope.Scope>

/** What a connection is used through; new with each connection. */
export interface Session<S> {
  readonly connection: RabbitConnection
  readonly parts: S
}

export class RabbitLink<S> {
  private session: Session<S> | null = null
  private failure: unknown = new Error("not connected yet")
  private drift: TopologyDrift | null = null
  private readonly latch = Latch.makeUnsafe(false)
  private isClosed = false

  /** The session of now; an Outage while there is none. */
  current(during: string): Effect.Effect<Session<S>, Outage> {
    return Effect.suspend(() => {
      const { session } = this
      if (session === null || session.connection.lostBecause !== undefined) {
        return Effect.fail(outageOf(during, session?.connection.lostBecause ?? this.failure))
      }
      return Effect.succeed(session)
    })
  }

  /** Waits for the first connection, but not for ever: then it fails with what stood in the way. Drift does not go away, so it fails at once. */
  ready(startMs: number): Effect.Effect<void, Outage | TopologyDrift> {
    const late = Effect.suspend(() => {
      const cause = new Error(`no connection to RabbitMQ within ${startMs} ms: ${messageOf(this.failure)}`)
      return Effect.fail(outageOf("connect", cause))
    })
    const first = Effect.andThen(
      this.latch.await,
      Effect.suspend(() => (this.drift === null ? Effect.void : Effect.fail(this.drift)))
    )
    return Effect.timeoutOrElse(first, { duration: startMs, orElse: () => late })
  }

  /** One connection after the other. */
  keep(options: ConnectionOptions, prepare: Prepare<S>): Effect.Effect<never> {
    let failures = 0
    const once = Effect.gen({ self: this }, function* () {
      const since = yield* Clock.currentTimeMillis
      const exit = yield* Effect.exit(Effect.scoped(this.live(options, prepare)))
      this.session = null
      if (Exit.isFailure(exit)) yield* this.note(options, exit.cause, failures === 0)
      // One that broke as soon as it stood is no reason to hurry.
      failures = (yield* Clock.currentTimeMillis) - since > PAUSE_LAST_MS ? 0 : failures + 1
      const bound = Math.min(PAUSE_LAST_MS, PAUSE_FIRST_MS * 2 ** Math.min(failures, 10))
      yield* Effect.sleep(Math.ceil((yield* Random.next) * bound))
    })
    return Effect.forever(once)
  }

  /** From here on there is no session any more. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    const { session } = this
    this.isClosed = true
    this.session = null
    this.failure = new Error("the transport is closed")
    return session === null ? Effect.void : session.connection.close
  })

  private readonly live = Effect.fnUntraced(function* (
    this: RabbitLink<S>,
    options: ConnectionOptions,
    prepare: Prepare<S>
  ) {
    const connection = yield* Effect.acquireRelease(open(options), (opened) => opened.close, { interruptible: true })
    const parts = yield* prepare(connection)
    if (this.isClosed) return
    this.session = { connection, parts }
    this.drift = null
    this.latch.openUnsafe()
    const reason = yield* connection.ended
    if (this.isClosed) return
    this.failure = reason
    yield* Effect.logWarning("RabbitMQ: connection lost", { name: options.name, cause: messageOf(reason) })
  })

  /** Whatever it was, also a bug, the next try may do better; a link that gave up would be a daemon that is deaf without a word. */
  private note({ name }: ConnectionOptions, cause: Cause.Cause<Outage | TopologyDrift>, isFirst: boolean) {
    return Effect.suspend(() => {
      const failure = Cause.squash(cause)
      this.failure = failure instanceof Outage ? failure.cause : failure
      if (failure instanceof TopologyDrift) {
        this.drift = failure
        this.latch.openUnsafe()
      }
      const log = isFirst || failure instanceof TopologyDrift ? Effect.logWarning : Effect.logDebug
      return log("RabbitMQ: no connection", { name, cause: messageOf(this.failure) })
    })
  }
}

/** A link that lives as long as the scope. */
export const make = <S>(
  options: ConnectionOptions,
  prepare: Prepare<S>
): Effect.Effect<RabbitLink<S>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const link = new RabbitLink<S>()
    yield* Effect.forkScoped(link.keep(options, prepare))
    yield* Effect.addFinalizer(() => link.close)
    return link
  })
