/**
 * The incarnations of the one daemon that owns this data folder. Whoever joins holds the folder, so every earlier incarnation that still
 * counts as live is a crashed one: joining declares it dead, and its jobs may be claimed at once.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { DaemonId } from "../../schemas/Ids.ts"
import { type DaemonRow, Daemons, make } from "../Daemons.ts"
import { SqliteClient } from "./SqliteClient.ts"
import type { Sql } from "./Statements.ts"

const during = (method: string) => ({ of: "Daemons", method })

export const layer: Layer.Layer<Daemons, never, SqliteClient> = Layer.effect(
  Daemons,
  Effect.gen(function* () {
    const { read, write } = yield* SqliteClient
    return make({
      join: (id, at) => write(during("join"), (sql) => join(sql, id, at)),
      // A lost beat is repeated within a second, so no beat is worth an fsync.
      beat: (id, at) => write(during("beat"), (sql) => beat(sql, id, at), { durable: false }),
      leave: (id, at) =>
        write(during("leave"), (sql) => {
          sql("UPDATE daemon SET state = 'left', beat_at = ? WHERE id = ? AND state = 'live'").run(at, id)
          return Result.void
        }),
      bury: (before, judge) => write(during("bury"), (sql) => bury(sql, before, judge ?? null)),
      time: Clock.currentTimeMillis,
      list: read(during("list"), (sql) => sql("SELECT * FROM daemon ORDER BY started_at, id").all().map(daemonOf))
    })
  })
)

const daemonOf = (stored: Record<string, unknown>): DaemonRow => ({
  id: stored["id"] as DaemonId,
  startedAt: stored["started_at"] as number,
  beatAt: stored["beat_at"] as number,
  state: stored["state"] as DaemonRow["state"]
})

/** An incarnation that was declared dead, or that left, does not come back under its id. */
const join = (sql: Sql, id: DaemonId, at: number): Result.Result<void> => {
  sql("UPDATE daemon SET state = 'dead' WHERE state = 'live' AND id <> ?").run(id)
  sql("INSERT INTO daemon (id, started_at, beat_at, state) VALUES (?, ?, ?, 'live') ON CONFLICT (id) DO NOTHING").run(
    id,
    at,
    at
  )
  return Result.void
}

const beat = (sql: Sql, id: DaemonId, at: number): Result.Result<boolean> => {
  const { changes } = sql("UPDATE daemon SET beat_at = max(beat_at, ?) WHERE id = ? AND state = 'live'").run(at, id)
  return Result.succeed(changes > 0)
}

const bury = (sql: Sql, before: number, judge: DaemonId | null): Result.Result<ReadonlyArray<DaemonId>> =>
  Result.succeed(
    sql("UPDATE daemon SET state = 'dead' WHERE state = 'live' AND beat_at < ? AND id IS NOT ? RETURNING id")
      .all(before, judge)
      .map((stored) => stored["id"] as DaemonId)
  )
