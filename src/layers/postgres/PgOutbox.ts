/**
 * The outbox in PostgreSQL. What is pending is what is there: rows leave by id once the broker has them, and no watermark is kept, because numbers
 * are handed out before the transactions that use them end and in another order.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type { Envelope } from "../../schemas/Envelope.ts"
import type { EnvelopeId, JobId } from "../../schemas/Ids.ts"
import { make, Outbox, type OutboxRow } from "../Outbox.ts"
import type { Target } from "../Transport.ts"
import * as PgBatch from "./PgBatch.ts"
import { PgClient } from "./PgClient.ts"
import { limited, texts, whole, wholes } from "./PgValues.ts"

const during = (method: string) => ({ of: "Outbox", method })

/** By the instant at which a row became due; a row that was made due later than it was made stands later in the line. */
export const PENDING = `SELECT id, target, envelope, created_at FROM outbox
  WHERE due_at <= $1 AND created_at < $1 ORDER BY due_at, seq LIMIT $2`

const ADD = `INSERT INTO outbox (id, target, envelope, job_id, created_at, due_at)
  SELECT id, target, envelope, job_id, at, at
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[]) WITH ORDINALITY
    AS asked (id, target, envelope, job_id, at, place)
  ORDER BY place ON CONFLICT (id) DO NOTHING`

interface StoredMessage {
  readonly id: EnvelopeId
  readonly target: string
  readonly envelope: string
  readonly created_at: bigint
}

const rowOf = (stored: StoredMessage): OutboxRow => ({
  id: stored.id,
  target: JSON.parse(stored.target) as Target,
  envelope: JSON.parse(stored.envelope) as Envelope,
  createdAt: Number(stored.created_at)
})

const announcedJob = ({ target, envelope }: OutboxRow): JobId | null =>
  target._tag === "Lane" && envelope.message._tag === "JobQueued" ? envelope.message.jobId : null

const sent: PgBatch.BatchedMethod<ReadonlyArray<EnvelopeId>, object, void, never> = {
  during: during("sent"),
  text: "SELECT outbox_sent($1)",
  parameters: (calls) => [texts(calls.flat())],
  outcomes: (calls) => calls.map(() => Exit.void)
}

export const layer: Layer.Layer<Outbox, never, PgClient> = Layer.effect(
  Outbox,
  Effect.gen(function* () {
    const client = yield* PgClient
    return make({
      pending: (before, limit) =>
        Effect.map(client.query<StoredMessage>(during("pending"), PENDING, [whole(before), limited(limit)]), (rows) =>
          rows.map(rowOf)
        ),
      sent: yield* PgBatch.make(client, sent),
      add: (rows) =>
        Effect.asVoid(
          client.query(during("add"), ADD, [
            texts(rows.map(({ id }) => id)),
            texts(rows.map(({ target }) => JSON.stringify(target))),
            texts(rows.map(({ envelope }) => JSON.stringify(envelope))),
            texts(rows.map(announcedJob)),
            wholes(rows.map(({ createdAt }) => createdAt))
          ])
        ),
      depth: Effect.map(
        client.query<{ depth: bigint }>(during("depth"), "SELECT count(*) AS depth FROM outbox"),
        (rows) => Number(rows[0]?.depth ?? 0n)
      )
    })
  })
)
