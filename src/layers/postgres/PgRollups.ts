/** Rollups on PostgreSQL. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { SqlClient } from "effect/sql/SqlClient"
import type { EntryKind } from "../../schemas/Credits.ts"
import type { NamespaceId } from "../../schemas/Ids.ts"
import { type CreditRollup, DAY_MS } from "../../schemas/Rollup.ts"
import type { Span } from "../Invoice.ts"
import { TABLES } from "../RollupColumns.ts"
import { sumOf } from "../RollupFold.ts"
import { make, Rollups, type Wanted, WAITING_MAX } from "../Rollups.ts"
import { PgClient } from "./PgClient.ts"
import { takeCredits, takeJobs } from "./PgRollupBooking.ts"
import { close } from "./PgRollupClosing.ts"
import { closedUntil, rowsOf, selectFrom, standingOf, type StoredPlace } from "./PgRollupRows.ts"
import { limited, maybeText, maybeWhole, text, whole } from "./PgValues.ts"

const during = (method: string) => ({ of: "Rollups", method })

export const layer: Layer.Layer<Rollups, never, PgClient> = Layer.effect(
  Rollups,
  Effect.map(PgClient, (client) => {
    const { sql, transaction, query, survey } = client
    return make({
      book: (definition, from, max, now) =>
        transaction(
          during("book"),
          definition === "credits" ? takeCredits(sql, from, max, now) : takeJobs(sql, from, max)
        ),
      close: (definition, until, hoursMax) => transaction(during("close"), close(sql, definition, until, hoursMax)),
      closedUntil: Effect.map(
        query<{ definition: string; closed_until: bigint }>(during("closedUntil"), "SELECT * FROM rollup_progress"),
        (rows) => {
          const of = (name: string) => Number(rows.find(({ definition }) => definition === name)?.closed_until ?? 0)
          return { credits: of("credits"), jobs: of("jobs"), accounts: of("accounts") }
        }
      ),
      waiting: Effect.map(
        survey<{ credits: number; jobs: number }>(during("waiting"), WAITING),
        ([counts]) => counts ?? { credits: 0, jobs: 0 }
      ),
      page: (wanted) => page(client, wanted),
      statement: (namespaceId, span) => transaction(during("statement"), statement(sql, namespaceId, span)),
      recount: (namespaceId, firstSeq, lastSeq) =>
        Effect.map(
          query<StoredSum>(during("recount"), RECOUNT, [text(namespaceId), whole(firstSeq), whole(lastSeq)]),
          (sums) => recounted(sums)
        )
    })
  })
)

const WAITING = `SELECT (SELECT count(*) FROM (
    SELECT 1 FROM credit_balance AS payer LEFT JOIN rollup_place AS place ON place.namespace_id = payer.namespace_id
    JOIN credit_entry AS entry ON entry.namespace_id = payer.namespace_id AND entry.seq > coalesce(place.seq, 0) LIMIT ${WAITING_MAX}
  ) AS fresh)::int AS credits, (SELECT count(*) FROM (
    SELECT 1 FROM rollup_place AS place
    JOIN credit_entry AS entry ON entry.namespace_id = place.namespace_id AND entry.seq > place.jobs_seq AND entry.seq <= place.seq
    WHERE place.jobs_seq < place.seq LIMIT ${WAITING_MAX}
  ) AS behind)::int AS jobs`

const page = ({ query }: PgClient["Service"], wanted: Wanted) => {
  const { definition, namespaceId, from, to, after, limit } = wanted
  if (namespaceId !== null && definition === "accounts") return Effect.succeed([])
  const { key } = TABLES[definition]
  const own = namespaceId === null ? "$6::text IS NULL" : "namespace_id = $6"
  const text6 = maybeText(namespaceId)
  return Effect.map(
    query<Record<string, unknown>>(
      during("page"),
      `${selectFrom(definition)} WHERE period >= $1 AND period < $2 AND (period, ${key}) > ($3, $4) AND ${own}
        ORDER BY period, ${key} LIMIT $5`,
      [whole(from), whole(to), whole(after?.period ?? -1), text(after?.key ?? ""), limited(limit), text6]
    ),
    (stored) => rowsOf(definition, stored)
  )
}

interface StoredCharge {
  readonly model: string
  readonly jobs: bigint
  readonly prompt_tokens: bigint
  readonly output_tokens: bigint
  readonly cost: string
}

const MODELS = `SELECT model, sum(jobs)::bigint AS jobs, sum(prompt_tokens)::bigint AS prompt_tokens,
    sum(output_tokens)::bigint AS output_tokens, sum(cost)::text AS cost
  FROM rollup_jobs WHERE namespace_id = $1 AND period >= $2 AND period < $3 GROUP BY model ORDER BY model`

const AWAY = `SELECT day FROM rollup_day WHERE day > $1::bigint - ${DAY_MS} AND ($2::bigint IS NULL OR day < $2) ORDER BY day`

/** In one snapshot, so that its parts belong together while others book. */
const statement = Effect.fnUntraced(function* (sql: SqlClient, namespaceId: NamespaceId, { from, to }: Span) {
  yield* sql.unsafe("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
  const who = text(namespaceId)
  const own = `${selectFrom("credits")} WHERE namespace_id = $1`
  const credits = (rest: string, ...instants: ReadonlyArray<number>) =>
    Effect.map(
      sql.unsafe<Record<string, unknown>>(`${own} AND ${rest}`, [who, ...instants.map(whole)]),
      (stored) => rowsOf("credits", stored) as ReadonlyArray<CreditRollup>
    )
  const [before = null] = yield* credits("period < $2 ORDER BY period DESC LIMIT 1", from)
  const [after = null] = yield* credits("period >= $2 ORDER BY period LIMIT 1", to)
  const rows = yield* credits("period >= $2 AND period < $3 ORDER BY period", from, to)
  const [place] = yield* sql.unsafe<StoredPlace>("SELECT * FROM rollup_place WHERE namespace_id = $1", [who])
  const { available, reserved } = place === undefined ? { available: 0n, reserved: 0n } : standingOf(place)
  const models = yield* sql.unsafe<StoredCharge>(MODELS, [who, whole(from), whole(to)])
  const away = yield* sql.unsafe<{ day: bigint }>(AWAY, [
    whole(before?.period ?? from),
    maybeWhole(after?.period ?? null)
  ])
  return {
    namespaceId,
    before,
    rows,
    after,
    latest: { available, reserved },
    away: away.map(({ day }) => Number(day)),
    models: models.map((stored) => ({
      model: stored.model,
      jobs: Number(stored.jobs),
      promptTokens: Number(stored.prompt_tokens),
      outputTokens: Number(stored.output_tokens),
      cost: BigInt(stored.cost)
    })),
    closedUntil: Math.min(yield* closedUntil(sql, "credits"), yield* closedUntil(sql, "jobs"))
  }
})

interface StoredSum {
  readonly kind: EntryKind
  readonly amount: string
  readonly entries: bigint
}

const RECOUNT = `SELECT kind, sum(amount)::text AS amount, count(*) AS entries FROM credit_entry
  WHERE namespace_id = $1 AND seq BETWEEN $2 AND $3 GROUP BY kind`

const recounted = (sums: ReadonlyArray<StoredSum>) => {
  const count = (kind: EntryKind) => Number(sums.find((sum) => sum.kind === kind)?.entries ?? 0)
  const amounts = sumOf(sums.map(({ kind, amount }) => ({ kind, amount: BigInt(amount) })))
  return { ...amounts, opened: count("reserve"), ended: count("settle") }
}
