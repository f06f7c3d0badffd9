/** Takes entries into rollups, a page in one transaction: the rows that change, and how far each namespace came, are written together. */
import type { EntryKind } from "../../schemas/Credits.ts"
import type { NamespaceId } from "../../schemas/Ids.ts"
import type { TerminalState } from "../../schemas/JobState.ts"
import type { CreditRollup } from "../../schemas/Rollup.ts"
import { decodeJob } from "../JobText.ts"
import { bookCredits, bookJobs, type EndedJob, foldJobs, type FoldedEntry } from "../RollupFold.ts"
import type { Booked } from "../Rollups.ts"
import { closedUntil, creditRow, jobRow, placeOf, putRows, savePlace } from "./RollupRows.ts"
import type { Sql } from "./Statements.ts"

/** Namespaces from one on that have entries which credits did not take. */
const UNBOOKED = `SELECT payer.namespace_id FROM credit_balance AS payer
  LEFT JOIN rollup_place AS place ON place.namespace_id = payer.namespace_id
  WHERE payer.namespace_id >= ? AND EXISTS (SELECT 1 FROM credit_entry AS entry
    WHERE entry.namespace_id = payer.namespace_id AND entry.seq > coalesce(place.seq, 0))
  ORDER BY payer.namespace_id LIMIT max(?, 0)`

const ENTRIES = `SELECT seq, kind, CAST(amount AS TEXT) AS amount, at FROM credit_entry
  WHERE namespace_id = ? AND seq > ? ORDER BY seq LIMIT max(?, 0)`

export const entryOf = (stored: Record<string, unknown>): FoldedEntry => ({
  seq: Number(stored["seq"]),
  kind: stored["kind"] as EntryKind,
  amount: BigInt(stored["amount"] as string),
  at: Number(stored["at"])
})

/** Takes of one namespace after the other, until `max` entries are taken. */
const through = (
  found: ReadonlyArray<Record<string, unknown>>,
  max: number,
  take: (namespaceId: NamespaceId, max: number) => number
): Booked => {
  let taken = 0
  for (const stored of found) {
    const namespaceId = stored["namespace_id"] as NamespaceId
    taken += take(namespaceId, max - taken)
    // It may have more.
    if (taken >= max) return { taken, next: namespaceId }
  }
  return { taken, next: null }
}

export const takeCredits = (sql: Sql, from: NamespaceId | null, max: number, now: number): Booked => {
  const bounds = { closedUntil: closedUntil(sql, "credits"), now }
  return through(sql(UNBOOKED).all(from ?? "", max), max, (namespaceId, most) => {
    const place = placeOf(sql, namespaceId)
    const entries = sql(ENTRIES).all(namespaceId, place.seq, most).map(entryOf)
    const begun: CreditRollup | null = creditRow(sql, namespaceId, place.period)
    const { standing, rows } = bookCredits(namespaceId, place, begun, entries, bounds)
    putRows(sql, rows, "REPLACE")
    savePlace(sql, namespaceId, standing)
    return entries.length
  })
}

const BEHIND = `SELECT namespace_id, jobs_seq, seq FROM rollup_place WHERE namespace_id >= ? AND jobs_seq < seq
  ORDER BY namespace_id LIMIT max(?, 0)`

const SETTLED = `SELECT entry.seq, entry.kind, CAST(entry.amount AS TEXT) AS amount, entry.at, job.facts, job.state, job.prompt_tokens,
    job.output_tokens, job.accepted_at,
    (SELECT min(at) FROM job_event WHERE job_id = job.id AND kind = 'claimed') AS started_at,
    (SELECT period FROM rollup_credits WHERE namespace_id = entry.namespace_id AND last_seq >= entry.seq
      ORDER BY last_seq LIMIT 1) AS period
  FROM credit_entry AS entry LEFT JOIN job ON job.id = entry.job_id AND entry.kind = 'settle'
  WHERE entry.namespace_id = ? AND entry.seq > ? AND entry.seq <= ? ORDER BY entry.seq LIMIT max(?, 0)`

const endedJobOf = (namespaceId: NamespaceId, stored: Record<string, unknown>): EndedJob => {
  const { environment, model, mode } = decodeJob(stored["facts"] as string)
  return {
    period: Number(stored["period"]),
    environment,
    namespaceId,
    model,
    mode,
    state: stored["state"] as TerminalState,
    promptTokens: Number(stored["prompt_tokens"]),
    outputTokens: Number(stored["output_tokens"]),
    cost: BigInt(stored["amount"] as string),
    acceptedAt: Number(stored["accepted_at"]),
    startedAt: stored["started_at"] === null ? null : Number(stored["started_at"]),
    finishedAt: Number(stored["at"])
  }
}

export const takeJobs = (sql: Sql, from: NamespaceId | null, max: number): Booked => {
  const places = sql(BEHIND).all(from ?? "", max)
  const reach = new Map(places.map((place) => [place["namespace_id"], place] as const))
  return through(places, max, (namespaceId, most) => {
    const place = reach.get(namespaceId)
    const stored = sql(SETTLED).all(namespaceId, Number(place?.["jobs_seq"]), Number(place?.["seq"]), most)
    // A row that has left was counted before; only in a fork, which counts anew, is there nothing left to count.
    const ended = stored
      .filter(({ kind, facts }) => kind === "settle" && facts !== null)
      .map((row) => endedJobOf(namespaceId, row))
    const fresh = bookJobs(ended)
    const known = fresh.map((row) => jobRow(sql, row)).filter((row) => row !== null)
    putRows(sql, foldJobs([...known, ...fresh]), "REPLACE")
    const last = stored.at(-1)?.["seq"]
    if (last !== undefined) {
      sql("UPDATE rollup_place SET jobs_seq = ? WHERE namespace_id = ?").run(Number(last), namespaceId)
    }
    return stored.length
  })
}
