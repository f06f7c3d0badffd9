/**
 * Locks that live exactly as long as a connection of ours: how others see at once that this process is gone. The connection is one of the pool's, kept
 * for this alone; when it was lost, another one takes its place and locks again.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Connection } from "effect/sql/SqlConnection"
import type { DaemonId } from "../../schemas/Ids.ts"
import type { Outage } from "../Outage.ts"
import type { PgClient } from "./PgClient.ts"
import { explained } from "./PgErrors.ts"
import { text } from "./PgValues.ts"

export interface SessionLocks {
  readonly hold: (id: DaemonId) => Effect.Effect<void, Outage>
  readonly free: (id: DaemonId) => Effect.Effect<void, Outage>
}

/** The key of an id's lock, as an expression over `$1`. */
export const LOCK_KEY = "hashtextextended($1, 0)"

/** How soon a lost connection is noticed. Others wait longer than this, and for a missing heartbeat as well, before they draw a conclusion. */
const LOOK_EVERY = "500 millis"

const during = { of: "Daemons", method: "lock" }

export const make = ({ sql }: PgClient["Service"]): Effect.Effect<SessionLocks, never, Scope.Scope> =>
  Effect.gen(function* () {
    const held = new Set<DaemonId>()
    let session: { readonly connection: Connection; readonly scope: Scope.Closeable } | null = null

    const drop = Effect.suspend(() => {
      const lost = session
      session = null
      return lost === null ? Effect.void : Scope.close(lost.scope, Exit.void)
    })
    yield* Effect.addFinalizer(() => drop)

    /** The connection, with everything locked on it that has to be. */
    const open = Effect.gen(function* () {
      if (session !== null) return session.connection
      const scope = yield* Scope.make()
      const connection = yield* Effect.onError(Scope.provide(sql.reserve, scope), () => Scope.close(scope, Exit.void))
      session = { connection, scope }
      for (const id of held) yield* lock(connection, id)
      return connection
    })
    const onIt = <A>(use: (connection: Connection) => Effect.Effect<A, unknown>) =>
      Effect.flatMap(open, use).pipe(
        Effect.tapError(() => drop),
        Effect.uninterruptible
      ) as Effect.Effect<A, never>

    const look = onIt((connection) => connection.execute("SELECT 1", [], undefined))
    const patient = Effect.catchCause(look, () => Effect.void)
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(LOOK_EVERY), patient)))

    return {
      hold: (id) =>
        Effect.suspend(() => {
          held.add(id)
          return explained(during)(onIt((connection) => lock(connection, id)))
        }),
      free: (id) =>
        Effect.suspend(() => {
          held.delete(id)
          return explained(during)(onIt((connection) => unlock(connection, id)))
        })
    }
  })

/** Without waiting: a lock that is still there belongs to a connection of ours that the server has not given up yet. */
const lock = (connection: Connection, id: DaemonId) =>
  Effect.asVoid(connection.execute(`SELECT pg_try_advisory_lock(${LOCK_KEY})`, [text(id)], undefined))

const unlock = (connection: Connection, id: DaemonId) =>
  Effect.asVoid(connection.execute(`SELECT pg_advisory_unlock(${LOCK_KEY})`, [text(id)], undefined))
