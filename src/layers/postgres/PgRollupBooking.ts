/**
 * Takes entries into rollups, a page in one transaction. Within a namespace entries become visible in the order of their numbers, because whoever writes one holds
 * the namespace's balance until it is committed: so "after the last that was taken" misses none, also not one that is being written right now.
 */
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { EntryKind } from "../../schemas/Credits.ts"
import type { NamespaceId } from "../../schemas/Ids.ts"
import type { TerminalState } from "../../schemas/JobState.ts"
import { type CreditRollup, keyOf, type JobRollup } from "../../schemas/Rollup.ts"
import { decodeJob } from "../JobText.ts"
import { bookCredits, bookJobs, type EndedJob, foldJobs, type FoldedEntry, nothingYet } from "../RollupFold.ts"
import type { Booked } from "../Rollups.ts"
import { heldUntil, putRows, rowsOf, savePlaces, selectFrom, standingOf, type StoredPlace } from "./PgRollupRows.ts"
import { limited, text, texts, wholes } from "./PgValues.ts"

/** Namespaces that one call looks at, most of which have nothing new. */
const LOOKED_AT_MAX = 10_000

const FURTHER = `SELECT namespace_id FROM credit_balance WHERE namespace_id >= $1 ORDER BY namespace_id
  OFFSET ${LOOKED_AT_MAX} LIMIT 1`

/** @param further where the namespaces that are looked at end, if they do */
export const pageUntil = (further: "further" | "end"): string => {
  const until = further === "further" ? (who: string) => `AND ${who}.namespace_id < $3` : () => ""
  return `SELECT payer.namespace_id, entry.seq, entry.kind, entry.amount, entry.at
  FROM credit_balance AS payer
  LEFT JOIN rollup_place AS place ON place.namespace_id = payer.namespace_id
  CROSS JOIN LATERAL (
    SELECT seq, kind, amount, at FROM credit_entry
    WHERE namespace_id = payer.namespace_id AND seq > coalesce(place.seq, 0) ORDER BY seq LIMIT $2
  ) AS entry
  WHERE payer.namespace_id >= $1 ${until("payer")}
  ORDER BY payer.namespace_id, entry.seq LIMIT $2`
}

/** Row by row along the indexes: a plan is kept while its tables grow, and a join of whole tables is right only while they are small. */
export const ALONG_INDEXES = `SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
  set_config('enable_material', 'off', true)`

interface StoredEntry {
  readonly namespace_id: NamespaceId
  readonly seq: bigint
  readonly kind: EntryKind
  readonly amount: bigint
  readonly at: bigint
}

export const entryOf = ({ seq, kind, amount, at }: Omit<StoredEntry, "namespace_id">): FoldedEntry => ({
  seq: Number(seq),
  kind,
  amount,
  at: Number(at)
})

/** Where the next page begins: with the last namespace again, which may have more, or behind those that were looked at. */
const nextOf = (
  page: ReadonlyArray<{ readonly namespace_id: NamespaceId }>,
  max: number,
  further: NamespaceId | null
): Booked => ({
  taken: page.length,
  next: page.length < max ? further : (page.at(-1)?.namespace_id ?? further)
})

const groupedBy = <A extends { readonly namespace_id: NamespaceId }>(rows: ReadonlyArray<A>) =>
  Map.groupBy(rows, ({ namespace_id }) => namespace_id)

export const takeCredits = Effect.fnUntraced(function* (
  sql: SqlClient,
  from: NamespaceId | null,
  max: number,
  now: number
) {
  yield* sql.unsafe(ALONG_INDEXES)
  const bounds = { closedUntil: yield* heldUntil(sql, "credits"), now }
  const [more] = yield* sql.unsafe<{ namespace_id: NamespaceId }>(FURTHER, [text(from ?? "")])
  const further = more?.namespace_id ?? null
  const first = [text(from ?? ""), limited(max)]
  const page = yield* further === null
    ? sql.unsafe<StoredEntry>(pageUntil("end"), first)
    : sql.unsafe<StoredEntry>(pageUntil("further"), [...first, text(further)])
  const groups = groupedBy(page)
  const ids = texts([...groups.keys()])
  const places = yield* sql.unsafe<StoredPlace>("SELECT * FROM rollup_place WHERE namespace_id = ANY ($1)", [ids])
  const begun = yield* sql.unsafe<Record<string, unknown>>(
    `${selectFrom("credits")} JOIN rollup_place AS place USING (namespace_id, period) WHERE place.namespace_id = ANY ($1)`,
    [ids]
  )
  const rows = rowsOf("credits", begun) as ReadonlyArray<CreditRollup>
  const booked = [...groups].map(([namespaceId, entries]) => {
    const place = places.find(({ namespace_id }) => namespace_id === namespaceId)
    const row = rows.find((one) => one.namespaceId === namespaceId) ?? null
    const standing = place === undefined ? nothingYet : standingOf(place)
    return { namespaceId, ...bookCredits(namespaceId, standing, row, entries.map(entryOf), bounds) }
  })
  yield* putRows(
    sql,
    booked.flatMap((one) => one.rows),
    "UPDATE"
  )
  yield* savePlaces(sql, new Map(booked.map(({ namespaceId, standing }) => [namespaceId, standing])))
  return nextOf(page, max, further)
})

export const JOBS_PAGE = `SELECT place.namespace_id, entry.seq, entry.kind, entry.amount, entry.at, slot.period, job.facts, job.state,
    job.prompt_tokens, job.output_tokens, job.accepted_at, started.at AS started_at
  FROM rollup_place AS place
  CROSS JOIN LATERAL (
    SELECT seq, kind, amount, at, job_id FROM credit_entry
    WHERE namespace_id = place.namespace_id AND seq > place.jobs_seq AND seq <= place.seq ORDER BY seq LIMIT $2
  ) AS entry
  LEFT JOIN LATERAL (
    SELECT id, facts, state, prompt_tokens, output_tokens, accepted_at FROM job
    WHERE id = entry.job_id AND entry.kind = 'settle' LIMIT 1
  ) AS job ON true
  LEFT JOIN LATERAL (
    SELECT period FROM rollup_credits WHERE namespace_id = place.namespace_id AND last_seq >= entry.seq AND entry.kind = 'settle'
    ORDER BY last_seq LIMIT 1
  ) AS slot ON true
  LEFT JOIN LATERAL (SELECT min(at) AS at FROM job_event WHERE job_id = job.id AND kind = 'claimed') AS started ON true
  WHERE place.namespace_id >= $1 AND place.jobs_seq < place.seq
  ORDER BY place.namespace_id, entry.seq LIMIT $2`

interface StoredEnd extends StoredEntry {
  readonly period: bigint
  /** null: the row has left. It was counted before; only in a fork, which counts anew, is there nothing left to count. */
  readonly facts: string | null
  readonly state: TerminalState
  readonly prompt_tokens: bigint
  readonly output_tokens: bigint
  readonly accepted_at: bigint
  readonly started_at: bigint | null
}

const endedJobOf = ({ facts, ...stored }: StoredEnd): ReadonlyArray<EndedJob> => {
  if (facts === null) return []
  const { environment, model, mode } = decodeJob(facts)
  const ended = {
    period: Number(stored.period),
    environment,
    namespaceId: stored.namespace_id,
    model,
    mode,
    state: stored.state,
    promptTokens: Number(stored.prompt_tokens),
    outputTokens: Number(stored.output_tokens),
    cost: stored.amount,
    acceptedAt: Number(stored.accepted_at),
    startedAt: stored.started_at === null ? null : Number(stored.started_at),
    finishedAt: Number(stored.at)
  }
  return [ended]
}

const KNOWN = `${selectFrom("jobs")} JOIN unnest($1::bigint[], $2::text[]) AS asked (period, key) USING (period, key)`

export const takeJobs = Effect.fnUntraced(function* (sql: SqlClient, from: NamespaceId | null, max: number) {
  yield* sql.unsafe(ALONG_INDEXES)
  yield* heldUntil(sql, "jobs")
  const page = yield* sql.unsafe<StoredEnd>(JOBS_PAGE, [text(from ?? ""), limited(max)])
  const fresh = bookJobs(page.filter(({ kind }) => kind === "settle").flatMap(endedJobOf))
  const known = yield* sql.unsafe<Record<string, unknown>>(KNOWN, [
    wholes(fresh.map(({ period }) => period)),
    texts(fresh.map(keyOf))
  ])
  yield* putRows(sql, foldJobs([...(rowsOf("jobs", known) as ReadonlyArray<JobRollup>), ...fresh]), "UPDATE")
  const lasts = [...groupedBy(page)].map(
    ([namespaceId, entries]) => [namespaceId, Number(entries.at(-1)?.seq)] as const
  )
  yield* sql.unsafe(
    `UPDATE rollup_place AS place SET jobs_seq = taken.seq FROM unnest($1::text[], $2::bigint[]) AS taken (namespace_id, seq)
      WHERE place.namespace_id = taken.namespace_id`,
    [texts(lasts.map(([namespaceId]) => namespaceId)), wholes(lasts.map(([, seq]) => seq))]
  )
  return nextOf(page, max, null)
})
