/** Rollups in the embedded database. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { NamespaceId } from "../../schemas/Ids.ts"
import type { CreditRollup, RollupRow } from "../../schemas/Rollup.ts"
import type { ModelCharge, Span, Statement } from "../Invoice.ts"
import { rollupOf, TABLES } from "../RollupColumns.ts"
import { sumOf } from "../RollupFold.ts"
import { type Booked, type Booking, make, Rollups, type Wanted, WAITING_MAX } from "../Rollups.ts"
import { entryOf, takeCredits, takeJobs } from "./RollupBooking.ts"
import { close } from "./RollupClosing.ts"
import { closedUntil, placeOf, rowsOf, selectFrom } from "./RollupRows.ts"
import { SqliteClient } from "./SqliteClient.ts"
import type { Sql } from "./Statements.ts"

const during = (method: string) => ({ of: "Rollups", method })

export const layer: Layer.Layer<Rollups, never, SqliteClient> = Layer.effect(
  Rollups,
  Effect.gen(function* () {
    const { read, write } = yield* SqliteClient
    return make({
      book: (definition, from, max, now) =>
        write(during("book"), (sql) => Result.succeed(book(sql, definition, from, max, now))),
      close: (definition, until, hoursMax) =>
        write(during("close"), (sql) => Result.succeed(close(sql, definition, until, hoursMax))),
      closedUntil: read(during("closedUntil"), (sql) => ({
        credits: closedUntil(sql, "credits"),
        jobs: closedUntil(sql, "jobs"),
        accounts: closedUntil(sql, "accounts")
      })),
      waiting: read(during("waiting"), (sql) => ({
        credits: countOf(sql, WAITING.credits),
        jobs: countOf(sql, WAITING.jobs)
      })),
      page: (wanted) => read(during("page"), (sql) => page(sql, wanted)),
      statement: (namespaceId, span) => read(during("statement"), (sql) => statement(sql, namespaceId, span)),
      recount: (namespaceId, firstSeq, lastSeq) =>
        read(during("recount"), (sql) => sumOf(sql(RECOUNT).all(namespaceId, firstSeq, lastSeq).map(entryOf)))
    })
  })
)

const book = (sql: Sql, definition: Booking, from: NamespaceId | null, max: number, now: number): Booked =>
  definition === "credits" ? takeCredits(sql, from, max, now) : takeJobs(sql, from, max)

const WAITING = {
  credits: `SELECT 1 FROM credit_balance AS payer LEFT JOIN rollup_place AS place ON place.namespace_id = payer.namespace_id
    JOIN credit_entry AS entry ON entry.namespace_id = payer.namespace_id AND entry.seq > coalesce(place.seq, 0)`,
  jobs: `SELECT 1 FROM rollup_place AS place
    JOIN credit_entry AS entry ON entry.namespace_id = place.namespace_id AND entry.seq > place.jobs_seq AND entry.seq <= place.seq`
}

const countOf = (sql: Sql, waiting: string): number =>
  Number(sql(`SELECT count(*) AS count FROM (${waiting} LIMIT ${WAITING_MAX})`).get()?.["count"])

const page = (sql: Sql, wanted: Wanted): ReadonlyArray<RollupRow> => {
  const { definition, namespaceId, from, to, after, limit } = wanted
  if (namespaceId !== null && definition === "accounts") return []
  const { key } = TABLES[definition]
  const own = namespaceId === null ? "" : "AND namespace_id = :namespace"
  const stored = sql(`${selectFrom(definition)} WHERE period >= :from AND period < :to ${own}
    AND (period, ${key}) > (:period, :key) ORDER BY period, ${key} LIMIT max(:limit, 0)`).all({
    from,
    to,
    period: after?.period ?? -1,
    key: after?.key ?? "",
    limit,
    ...(namespaceId === null ? {} : { namespace: namespaceId })
  })
  return rowsOf(definition, stored)
}

const MODELS = `SELECT model, jobs, prompt_tokens, output_tokens, cost FROM rollup_jobs
  WHERE namespace_id = ? AND period >= ? AND period < ?`

const statement = (sql: Sql, namespaceId: NamespaceId, { from, to }: Span): Statement => {
  const own = `${selectFrom("credits")} WHERE namespace_id = ?`
  const one = (stored: Record<string, unknown> | undefined) =>
    stored === undefined ? null : (rollupOf("credits", stored) as CreditRollup)
  const before = one(sql(`${own} AND period < ? ORDER BY period DESC LIMIT 1`).get(namespaceId, from))
  const after = one(sql(`${own} AND period >= ? ORDER BY period LIMIT 1`).get(namespaceId, to))
  const rows = sql(`${own} AND period >= ? AND period < ? ORDER BY period`).all(namespaceId, from, to)
  const { available, reserved } = placeOf(sql, namespaceId)
  return {
    namespaceId,
    before,
    rows: rows.map((stored) => rollupOf("credits", stored) as CreditRollup),
    after,
    latest: { available, reserved },
    away: awayBetween(sql, before?.period ?? from, after?.period ?? null),
    models: byModel(sql(MODELS).all(namespaceId, from, to)),
    closedUntil: Math.min(closedUntil(sql, "credits"), closedUntil(sql, "jobs"))
  }
}

/** Days that touch a span; without an end, all from its beginning on. */
const awayBetween = (sql: Sql, from: number, to: number | null): ReadonlyArray<number> =>
  sql("SELECT day FROM rollup_day WHERE day > ? - 86400000 AND (?2 IS NULL OR day < ?2) ORDER BY day")
    .all(from, to)
    .map((stored) => Number(stored["day"]))

const byModel = (stored: ReadonlyArray<Record<string, unknown>>): ReadonlyArray<ModelCharge> => {
  const models = new Map<string, ModelCharge>()
  for (const row of stored) {
    const model = row["model"] as string
    const known = models.get(model)
    models.set(model, {
      model,
      jobs: (known?.jobs ?? 0) + Number(row["jobs"]),
      promptTokens: (known?.promptTokens ?? 0) + Number(row["prompt_tokens"]),
      outputTokens: (known?.outputTokens ?? 0) + Number(row["output_tokens"]),
      cost: (known?.cost ?? 0n) + BigInt(row["cost"] as string)
    })
  }
  return [...models.values()].toSorted((a, b) => (a.model < b.model ? -1 : 1))
}

const RECOUNT = `SELECT seq, kind, CAST(amount AS TEXT) AS amount, at FROM credit_entry
  WHERE namespace_id = ? AND seq BETWEEN ? AND ? ORDER BY seq`
