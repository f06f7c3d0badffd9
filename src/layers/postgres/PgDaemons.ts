/**
 * Which incarnations live. A crash is seen as the session lock gone, at two looks and without a heartbeat between them: who merely lost its connection
 * locks again in that time. A hang is seen as the heartbeat of long ago; how long ago, the server's own clock tells, because the clocks of hosts differ
 * and jump. In its first seconds a server judges nobody: it has just ended all sessions.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { DaemonId } from "../../schemas/Ids.ts"
import { type DaemonRow, Daemons, make } from "../Daemons.ts"
import { PgClient } from "./PgClient.ts"
import { maybeText, maybeWhole, text, texts, whole, wholes } from "./PgValues.ts"
import * as SessionLocks from "./SessionLocks.ts"

const during = (method: string) => ({ of: "Daemons", method })

export interface Patience {
  /** Between the two looks for a lock, in milliseconds. */
  readonly lookAgainMs: number
  /**
   * Silence below which nobody hangs, whatever the clock of the daemon that judges says. null takes each daemon's heartbeats at their word instead
   * of the server's clock, for suites whose heartbeats are at invented times.
   */
  readonly silentMs: number | null
  /** Age of the server below which it judges nobody. */
  readonly settledMs: number
}

export const PATIENCE: Patience = { lookAgainMs: 300, silentMs: 8_000, settledMs: 5_000 }

/** An incarnation that was declared dead, or that left, does not come back under its id. */
const JOIN = `INSERT INTO daemon (id, started_at, beat_at, lock_key, state)
  VALUES ($1, $2, $2, ${SessionLocks.LOCK_KEY}, 'live') ON CONFLICT (id) DO NOTHING`

const BEAT = `UPDATE daemon SET beat_at = greatest(beat_at, $2), heard_at = clock_timestamp()
  WHERE id = $1 AND state = 'live' RETURNING id`

const LEAVE = "UPDATE daemon SET state = 'left', beat_at = $2 WHERE id = $1 AND state = 'live'"

const TIME = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now"

const SETTLED = "extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()) * 1000 >= $1::bigint"

const LOCKED = `EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND ((classid::bigint << 32) | objid::bigint) = daemon.lock_key)`

/** When a row was last heard of, exactly. */
const HEARD = "(extract(epoch FROM heard_at) * 1000000)::bigint"

const UNLOCKED = `SELECT id, ${HEARD} AS heard FROM daemon
  WHERE state = 'live' AND ${SETTLED} AND NOT ${LOCKED}`

/** Conditions on the row itself, so that they are looked at again when a heartbeat, or another daemon that buries, was faster. */
const BURY = `UPDATE daemon SET state = 'dead' WHERE state = 'live' AND ${SETTLED} AND id IS DISTINCT FROM $6::text AND (
    CASE WHEN $3::bigint IS NULL THEN beat_at < $2::bigint
      ELSE heard_at < clock_timestamp() - $3::bigint * interval '1 millisecond' END
    OR (id, ${HEARD}) IN (SELECT * FROM unnest($4::text[], $5::bigint[])) AND NOT ${LOCKED}
  ) RETURNING id`

interface StoredDaemon {
  readonly id: DaemonId
  readonly started_at: bigint
  readonly beat_at: bigint
  readonly state: DaemonRow["state"]
}

const daemonOf = (stored: StoredDaemon): DaemonRow => ({
  id: stored.id,
  startedAt: Number(stored.started_at),
  beatAt: Number(stored.beat_at),
  state: stored.state
})

/**
 * `before` says how long a silence is one: from there to now, both by the caller's clock, so it need not be right. Who was silent for so long is
 * judged by the server's clock alone.
 */
const bury = Effect.fnUntraced(function* (
  { query }: PgClient["Service"],
  { lookAgainMs, silentMs, settledMs }: Patience,
  isHeld: (id: DaemonId) => boolean,
  before: number,
  judge: DaemonId | null
) {
  const silence = silentMs === null ? null : Math.max(silentMs, (yield* Clock.currentTimeMillis) - before)
  const unlocked = yield* query<{ id: DaemonId; heard: bigint }>(during("bury"), UNLOCKED, [whole(settledMs)])
  // Whose lock this client keeps is there, also while the lock is on its way back.
  const suspects = unlocked.filter(({ id }) => !isHeld(id))
  // No event tells that a lock did not come back.
  if (suspects.length > 0) yield* Effect.sleep(lookAgainMs)
  const rows = yield* query<{ id: DaemonId }>(during("bury"), BURY, [
    whole(settledMs),
    whole(before),
    maybeWhole(silence),
    texts(suspects.map(({ id }) => id)),
    wholes(suspects.map(({ heard }) => Number(heard))),
    maybeText(judge)
  ])
  return rows.map(({ id }) => id)
})

export const layerWith = (patience: Patience): Layer.Layer<Daemons, never, PgClient> =>
  Layer.effect(
    Daemons,
    Effect.gen(function* () {
      const client = yield* PgClient
      const { query } = client
      const locks = yield* SessionLocks.make(client)
      return make({
        // The lock first: a row without one would be a dead daemon's.
        join: (id, at) =>
          Effect.andThen(locks.hold(id), Effect.asVoid(query(during("join"), JOIN, [text(id), whole(at)]))),
        beat: (id, at) => Effect.map(query(during("beat"), BEAT, [text(id), whole(at)]), (rows) => rows.length > 0),
        leave: (id, at) => Effect.andThen(query(during("leave"), LEAVE, [text(id), whole(at)]), locks.free(id)),
        bury: (before, judge) => bury(client, patience, locks.isHeld, before, judge ?? null),
        time: Effect.map(query<{ now: bigint }>(during("time"), TIME, []), ([row]) => Number(row?.now)),
        list: Effect.map(
          query<StoredDaemon>(
            during("list"),
            "SELECT id, started_at, beat_at, state FROM daemon ORDER BY started_at, id"
          ),
          (rows) => rows.map(daemonOf)
        )
      })
    })
  )

export const layer = layerWith(PATIENCE)
