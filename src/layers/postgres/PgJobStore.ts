/**
 * Jobs in PostgreSQL. Each move is one item of a batch, and a batch is one call of one function: the guarded row, its event, the credit entries
 * and the outbox row of every item are one transaction and one round trip. A reply that is lost with its connection is an Outage of unknown outcome;
 * every move may be made again, because its guard tells a repeat from the first.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type { JobId } from "../../schemas/Ids.ts"
import type { JobRow } from "../../schemas/JobState.ts"
import { JobStore, make } from "../JobStore.ts"
import { admit } from "./JobAdmission.ts"
import { claim, finish, release } from "./JobMoves.ts"
import * as PgBatch from "./PgBatch.ts"
import { PgClient } from "./PgClient.ts"
import { COLUMNS, eventOf, rowOf, type StoredEvent, type StoredJob } from "./PgJobRows.ts"
import { text, texts } from "./PgValues.ts"

export interface PgJobStoreOptions {
  readonly grouping?: PgBatch.Grouping
}

const during = (method: string) => ({ of: "JobStore", method })

export const GET = `SELECT job.id, ${COLUMNS} FROM job WHERE id = ANY ($1)`

const EVENTS = `SELECT job_id, seq, kind, from_state, to_state, epoch, attempt, daemon_id, node_id, code, at
  FROM job_event WHERE job_id = $1 ORDER BY seq`

const get: PgBatch.BatchedMethod<JobId, StoredJob & { readonly id: JobId }, JobRow | null, never> = {
  during: during("get"),
  text: GET,
  parameters: (ids) => [texts([...new Set(ids)])],
  outcomes: (ids, rows) => {
    const found = new Map(rows.map((row) => [row.id, rowOf(row)]))
    return ids.map((id) => Exit.succeed(found.get(id) ?? null))
  }
}

export const layerWith = ({ grouping }: PgJobStoreOptions): Layer.Layer<JobStore, never, PgClient> =>
  Layer.effect(
    JobStore,
    Effect.gen(function* () {
      const client = yield* PgClient
      return make({
        admit: yield* PgBatch.make(client, admit, grouping),
        claim: yield* PgBatch.make(client, claim, grouping),
        release: yield* PgBatch.make(client, release, grouping),
        finish: yield* PgBatch.make(client, finish, grouping),
        get: yield* PgBatch.make(client, get, grouping),
        forgetTags: (jobIds) =>
          Effect.asVoid(client.query(during("forgetTags"), "SELECT forget_tags($1)", [texts(jobIds)])),
        events: (jobId) =>
          Effect.map(client.query<StoredEvent>(during("events"), EVENTS, [text(jobId)]), (rows) => rows.map(eventOf))
      })
    })
  )

export const layer: Layer.Layer<JobStore, never, PgClient> = layerWith({})
