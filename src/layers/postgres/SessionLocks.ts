/**
 * Locks that live exactly as long as a connection of this process: how others see at once that it is gone. The connection is none of the pool's, so a
 * busy or a small pool never waits for it. The server's word that it ended comes by itself, because the connection listens; then another one takes its
 * place after a short random pause and locks all of it again.
 */
import * as Driver from "@effect/sql-pg/PgClient"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import type { SqlClient } from "effect/sql/SqlClient"
import { SqlError } from "effect/sql/SqlError"
import type { DaemonId } from "../../schemas/Ids.ts"
import type { Outage } from "../Outage.ts"
import type { PgClient } from "./PgClient.ts"
import { outageOf } from "./PgErrors.ts"
import { text } from "./PgValues.ts"

export interface SessionLocks {
  /** Afterwards the lock of this id is ours, and stays so until it is freed or the scope ends. */
  readonly hold: (id: DaemonId) => Effect.Effect<void, Outage>
  /** Does not wait for it. */
  readonly free: (id: DaemonId) => Effect.Effect<void>
  /** Whether this lock is ours, or is about to be again. */
  readonly isHeld: (id: DaemonId) => boolean
}

/** The key of an id's lock, as an expression over `$1`. */
export const LOCK_KEY = "hashtextextended($1, 0)"

/** Nobody notifies this channel: a connection that listens is told at once that it ended, and one that is merely idle is not. */
const CHANNEL = "daemon_lock"
/** For the connection that ended without a word on the way. */
const LOOK_EVERY = "1 second"
/** While a lock is still that of a connection of ours which the server has not given up yet. Shorter than the time between two looks of others. */
const TRY_EVERY = "100 millis"
const ANSWER = "5 seconds"
const HOLD = "10 seconds"
/** A pause is random up to a bound that doubles from the first to the last. */
const PAUSE_FIRST_MS = 50
const PAUSE_LAST_MS = 1_000

const during = { of: "Daemons", method: "lock" }

/** Ends with the scope, and so do the locks. */
export const make = ({ sql }: PgClient["Service"]): Effect.Effect<SessionLocks, never, Scope.Scope> =>
  Effect.gen(function* () {
    const locks = new Locks(configOf(sql))
    yield* Effect.forkScoped(locks.keep)
    return locks
  })

class Locks implements SessionLocks {
  private readonly config: PgConnection.Config
  private readonly wanted = new Map<DaemonId, Deferred.Deferred<void>>()
  private locked = new Set<DaemonId>()
  private readonly changed = Latch.makeUnsafe(false)
  private failures = 0
  private lastFailure: unknown = new Error("no connection yet")

  constructor(config: PgConnection.Config) {
    this.config = config
  }

  readonly isHeld = (id: DaemonId): boolean => this.wanted.has(id)

  readonly hold = (id: DaemonId): Effect.Effect<void, Outage> =>
    Effect.suspend(() => {
      const known = this.wanted.get(id)
      const taken = known ?? Deferred.makeUnsafe<void>()
      if (known === undefined) this.wanted.set(id, taken)
      return Effect.andThen(this.changed.open, Deferred.await(taken))
    }).pipe(
      Effect.timeoutOrElse({
        duration: HOLD,
        orElse: () => Effect.suspend(() => Effect.fail(outageOf(during, this.lastFailure)))
      })
    )

  readonly free = (id: DaemonId): Effect.Effect<void> =>
    Effect.suspend(() => {
      const taken = this.wanted.get(id)
      this.wanted.delete(id)
      // Whoever still waits for it waits no more.
      if (taken !== undefined) Deferred.doneUnsafe(taken, Effect.void)
      return this.changed.open
    })

  /** One connection after the other. */
  get keep(): Effect.Effect<never> {
    const once = Effect.suspend(() => {
      this.locked = new Set()
      return Effect.scoped(this.session())
    }).pipe(
      Effect.catchCause((cause) => this.note(cause)),
      Effect.andThen(Random.next),
      Effect.flatMap((random) => {
        const bound = Math.min(PAUSE_LAST_MS, PAUSE_FIRST_MS * 2 ** Math.min(this.failures++, 10))
        return Effect.sleep(Math.ceil(random * bound))
      })
    )
    return Effect.forever(once)
  }

  private readonly session = Effect.fnUntraced({ self: this }, function* () {
    const scope = yield* Scope.make()
    const close = Effect.addFinalizer((exit) => Scope.close(scope, exit))
    yield* close
    const connection = yield* Scope.provide(PgConnection.make(this.config), scope)
    const pinned = yield* connection.pin
    const lost = yield* answered(pinned.listen(CHANNEL))
    // Once more, before what was made of it: a closed connection says no goodbye, for whose answer a frozen server would let us wait.
    yield* close
    while (true) {
      yield* this.changed.close
      yield* this.settle(pinned)
      this.failures = 0
      const isSettled = this.locked.size === this.wanted.size
      yield* Effect.raceFirst(Queue.take(lost), this.changed.await).pipe(
        Effect.timeoutOption(isSettled ? LOOK_EVERY : TRY_EVERY)
      )
    }
  })

  /** Asks something in any case: a connection that does not answer is none. */
  private readonly settle = Effect.fnUntraced({ self: this }, function* (connection: PgConnection.PgConnection) {
    const ask = (statement: string, id: DaemonId) =>
      Effect.map(answered(connection.query(statement, [text(id)])), ({ rows }) => rows[0]?.["done"] === true)
    for (const [id, taken] of this.wanted) {
      if (!this.locked.has(id) && (yield* ask(`SELECT pg_try_advisory_lock(${LOCK_KEY}) AS done`, id)))
        this.locked.add(id)
      if (this.locked.has(id)) Deferred.doneUnsafe(taken, Effect.void)
      else this.lastFailure = new Error(`the lock of ${id} is that of another connection`)
    }
    for (const id of this.locked) {
      if (this.wanted.has(id)) continue
      yield* ask(`SELECT pg_advisory_unlock(${LOCK_KEY}) AS done`, id)
      this.locked.delete(id)
    }
    yield* answered(connection.query("SELECT 1"))
  })

  private note(cause: Cause.Cause<unknown>): Effect.Effect<void> {
    return Effect.suspend(() => {
      const failure = Cause.squash(cause)
      this.lastFailure = failure
      const why = String(failure instanceof SqlError ? failure.reason.cause : failure)
      return this.failures === 0 ? Effect.logWarning("the connection of the lock ended", { why }) : Effect.void
    })
  }
}

const answered = <A, R>(question: Effect.Effect<A, SqlError, R>) => Effect.timeout(question, ANSWER)

/** Like one of the pool's. */
const configOf = (sql: SqlClient): PgConnection.Config => {
  if (!isDriver(sql)) throw new TypeError("session locks need the client of PostgreSQL itself")
  return sql.config
}

const isDriver = (sql: SqlClient): sql is Driver.PgClient => Driver.TypeId in sql
