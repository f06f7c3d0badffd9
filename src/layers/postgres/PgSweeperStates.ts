/** Where each sweeper stands. Only the newest epoch may save. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import type { DaemonId } from "../../schemas/Ids.ts"
import { make, type SweeperState, SweeperStates } from "../SweeperStates.ts"
import { PgClient } from "./PgClient.ts"
import { freeText, fromFreeText, text, whole } from "./PgValues.ts"

const during = (method: string) => ({ of: "SweeperStates", method })

interface StoredState {
  readonly name: string
  readonly leader: DaemonId | null
  readonly epoch: bigint
  readonly watermark: string
  readonly swept_at: bigint | null
  readonly swept: bigint
  readonly last_error: string | null
}

const stateOf = (stored: StoredState): SweeperState => ({
  name: stored.name,
  leader: stored.leader,
  epoch: Number(stored.epoch),
  watermark: JSON.parse(stored.watermark) as Schema.Json,
  sweptAt: stored.swept_at === null ? null : Number(stored.swept_at),
  swept: Number(stored.swept),
  lastError: stored.last_error === null ? null : fromFreeText(stored.last_error)
})

const LEAD = `INSERT INTO sweeper_state (name, leader, epoch, watermark, swept) VALUES ($1, $2, 1, 'null', 0)
  ON CONFLICT (name) DO UPDATE SET leader = excluded.leader, epoch = sweeper_state.epoch + 1 RETURNING *`

const SAVE = `UPDATE sweeper_state SET watermark = $3, swept = swept + $4, swept_at = $5, last_error = $6
  WHERE name = $1 AND epoch = $2 RETURNING name`

export const layer: Layer.Layer<SweeperStates, never, PgClient> = Layer.effect(
  SweeperStates,
  Effect.map(PgClient, ({ query }) =>
    make({
      lead: (name, daemonId) =>
        Effect.flatMap(query<StoredState>(during("lead"), LEAD, [text(name), text(daemonId)]), ([stored]) =>
          stored === undefined
            ? Effect.die(new Error(`leading ${name} returned no row`))
            : Effect.succeed(stateOf(stored))
        ),
      save: (name, epoch, { watermark, swept, error, at }) =>
        Effect.map(
          query(during("save"), SAVE, [
            text(name),
            whole(epoch),
            text(JSON.stringify(watermark)),
            whole(swept),
            whole(at),
            error === null ? null : freeText(error)
          ]),
          (rows) => rows.length > 0
        ),
      list: Effect.map(query<StoredState>(during("list"), "SELECT * FROM sweeper_state"), (rows) =>
        rows.map(stateOf).toSorted((a, b) => (a.name < b.name ? -1 : 1))
      )
    })
  )
)
