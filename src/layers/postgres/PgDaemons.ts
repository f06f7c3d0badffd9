/**
 * Which incarnations live. A crash is seen as the session lock gone and the heartbeat missing, a hang as a heartbeat of long ago; how long ago, the
 * server's own clock tells, because clocks of hosts may differ and jump. In its first seconds a server judges nobody: it has just ended all sessions.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { DaemonId } from "../../schemas/Ids.ts"
import { type DaemonRow, Daemons, make } from "../Daemons.ts"
import { PgClient } from "./PgClient.ts"
import { whole, text } from "./PgValues.ts"
import * as SessionLocks from "./SessionLocks.ts"

const during = (method: string) => ({ of: "Daemons", method })

export interface Patience {
  /** Silence after which a daemon without its lock is gone, in milliseconds. */
  readonly unlockedMs: number
  /** Silence below which nobody hangs, whatever the clocks of hosts say. */
  readonly silentMs: number
  /** Age of the server below which it judges nobody. */
  readonly settledMs: number
}

export const PATIENCE: Patience = { unlockedMs: 1_500, silentMs: 8_000, settledMs: 5_000 }

/** An incarnation that was declared dead, or that left, does not come back under its id. */
const JOIN = `INSERT INTO daemon (id, started_at, beat_at, lock_key, state)
  VALUES ($1, $2, $2, ${SessionLocks.LOCK_KEY}, 'live') ON CONFLICT (id) DO NOTHING`

const BEAT = `UPDATE daemon SET beat_at = greatest(beat_at, $2), heard_at = clock_timestamp()
  WHERE id = $1 AND state = 'live' RETURNING id`

const LEAVE = "UPDATE daemon SET state = 'left', beat_at = $2 WHERE id = $1 AND state = 'live'"

const BURY = `WITH held AS (
    SELECT ((classid::bigint << 32) | objid::bigint) AS key FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  ), silent AS (
    SELECT id, beat_at, lock_key, extract(epoch FROM clock_timestamp() - heard_at) * 1000 AS ms FROM daemon
    WHERE state = 'live' AND extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()) * 1000 >= $4
  )
  UPDATE daemon SET state = 'dead' FROM silent
  WHERE daemon.id = silent.id AND daemon.state = 'live' AND daemon.id IS DISTINCT FROM $5 AND (
    silent.beat_at < $1 AND silent.ms >= $3
    OR silent.ms >= $2 AND NOT EXISTS (SELECT FROM held WHERE held.key = silent.lock_key)
  ) RETURNING daemon.id`

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

export const layerWith = ({ unlockedMs, silentMs, settledMs }: Patience): Layer.Layer<Daemons, never, PgClient> =>
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
        bury: (before, judge) =>
          Effect.map(
            query<{ id: DaemonId }>(during("bury"), BURY, [
              whole(before),
              whole(unlockedMs),
              whole(silentMs),
              whole(settledMs),
              judge === undefined ? null : text(judge)
            ]),
            (rows) => rows.map(({ id }) => id)
          ),
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
