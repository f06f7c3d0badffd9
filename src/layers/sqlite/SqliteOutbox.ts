/** The outbox in the embedded database. Rows leave one by one and by id, so a relay that dies between publish and `sent` publishes again. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { Envelope } from "../../schemas/Envelope.ts"
import type { EnvelopeId } from "../../schemas/Ids.ts"
import { make, Outbox, type OutboxRow } from "../Outbox.ts"
import type { Target } from "../Transport.ts"
import { putOutboxRow } from "./OutboxRows.ts"
import { SqliteClient } from "./SqliteClient.ts"

const during = (method: string) => ({ of: "Outbox", method })

/** By the instant at which a row became due; a row that was made due later than it was made stands later in the line. */
export const PENDING = `SELECT id, target, envelope, created_at FROM outbox
  WHERE due_at <= :before AND created_at < :before ORDER BY due_at, seq LIMIT max(:limit, 0)`

const rowOf = (stored: Record<string, unknown>): OutboxRow => ({
  id: stored["id"] as EnvelopeId,
  target: JSON.parse(stored["target"] as string) as Target,
  envelope: JSON.parse(stored["envelope"] as string) as Envelope,
  createdAt: stored["created_at"] as number
})

export const layer: Layer.Layer<Outbox, never, SqliteClient> = Layer.effect(
  Outbox,
  Effect.gen(function* () {
    const { read, write } = yield* SqliteClient
    return make({
      pending: (before, limit) => read(during("pending"), (sql) => sql(PENDING).all({ before, limit }).map(rowOf)),
      sent: (ids) =>
        // Not durable by itself: a row that comes back after a power failure is published twice, which it may be.
        write(
          during("sent"),
          (sql) => {
            for (const id of ids) sql("DELETE FROM outbox WHERE id = ?").run(id)
            return Result.void
          },
          { durable: false }
        ),
      add: (rows) =>
        write(during("add"), (sql) => {
          for (const row of rows) putOutboxRow(sql, row, row.createdAt)
          return Result.void
        }),
      depth: read(during("depth"), (sql) => Number(sql("SELECT count(*) AS depth FROM outbox").get()?.["depth"]))
    })
  })
)
