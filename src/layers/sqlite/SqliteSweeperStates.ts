/** Where each sweeper stands, in the embedded database. Only the newest epoch may save. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type { DaemonId } from "../../schemas/Ids.ts"
import { make, type Pass, type SweeperState, SweeperStates } from "../SweeperStates.ts"
import { SqliteClient } from "./SqliteClient.ts"
import type { Sql } from "./Statements.ts"

const during = (method: string) => ({ of: "SweeperStates", method })

export const layer: Layer.Layer<SweeperStates, never, SqliteClient> = Layer.effect(
  SweeperStates,
  Effect.gen(function* () {
    const { read, write } = yield* SqliteClient
    return make({
      lead: (name, daemonId) => write(during("lead"), (sql) => Result.succeed(lead(sql, name, daemonId))),
      save: (name, epoch, pass) => write(during("save"), (sql) => Result.succeed(save(sql, name, epoch, pass))),
      list: read(during("list"), (sql) => sql("SELECT * FROM sweeper_state ORDER BY name").all().map(stateOf))
    })
  })
)

const stateOf = (stored: Record<string, unknown>): SweeperState => ({
  name: stored["name"] as string,
  leader: stored["leader"] as DaemonId | null,
  epoch: stored["epoch"] as number,
  watermark: JSON.parse(stored["watermark"] as string) as Schema.Json,
  sweptAt: stored["swept_at"] as number | null,
  swept: stored["swept"] as number,
  lastError: stored["last_error"] as string | null
})

const lead = (sql: Sql, name: string, daemonId: DaemonId): SweeperState => {
  const stored = sql(`INSERT INTO sweeper_state (name, leader, epoch, watermark, swept) VALUES (?, ?, 1, 'null', 0)
    ON CONFLICT (name) DO UPDATE SET leader = excluded.leader, epoch = epoch + 1 RETURNING *`).get(name, daemonId)
  if (stored === undefined) throw new Error(`leading ${name} returned no row`)
  return stateOf(stored)
}

const save = (sql: Sql, name: string, epoch: number, { watermark, swept, error, at }: Pass): boolean => {
  const { changes } = sql(`UPDATE sweeper_state SET watermark = ?, swept = swept + ?, swept_at = ?, last_error = ?
    WHERE name = ? AND epoch = ?`).run(JSON.stringify(watermark), swept, at, error, name, epoch)
  return changes > 0
}
