/**
 * Rows of jobs whose day has long been over leave the deciding store for cold storage, once their records have. Candidates are looked through oldest first, page
 * by page from the watermark on; what may leave is marked, archived, read back and verified, and only then pruned. Whoever comes after a crash goes on with
 * the marked batches first. What is under legal hold stays.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { JobRecords } from "../../layers/JobRecords.ts"
import type { EndedPlace, JobRowRetention, LeavableRow } from "../../layers/JobRowRetention.ts"
import { classOf, fateOf, rowsBefore, rowStays, segmentIdOf } from "../../policies/Retention.ts"
import type { SegmentId } from "../../schemas/Archive.ts"
import { canonicalJson } from "../../schemas/CanonicalJson.ts"
import { JobId } from "../../schemas/Ids.ts"
import { JOB_ROW_VERSION, JobRowLine, type LeavingRow } from "../../schemas/JobRowLine.ts"
import { putAway } from "./PutAway.ts"
import { beginPass, type Pass, type PassHouse, waits } from "./RetentionPass.ts"
import type { Options } from "./Sweeper.ts"

export interface JobRowHouse extends PassHouse {
  readonly rows: JobRowRetention["Service"]
  readonly records: JobRecords["Service"]
}

/** Of candidates, in one batch: records that are kept longer than rows are gone past, and the next pass goes on from there. */
const PAGES_MAX = 20
const AT_ONCE = 16
const SCOPE = { _tag: "Operator", by: "sweeper/job-rows" } as const

const isPlace = Schema.is(Schema.Struct({ endedAt: Schema.Int, jobId: JobId }))
const encodeRow = Schema.encodeSync(JobRowLine)

export const make = (house: JobRowHouse): Options => ({
  name: "job-rows",
  everyMs: 600_000,
  batchMax: 500,
  sweepBatch: (stored, max, dryRun) =>
    Effect.gen(function* () {
      const pass = yield* beginPass(house)
      const from = isPlace(stored) ? stored : null
      if (dryRun) {
        const { leaving } = yield* choose(house, pass, null, max)
        return { taken: leaving.length, watermark: stored, detail: { rows: leaving.length } }
      }
      let taken = yield* retireAll(house, pass)
      const { leaving, at } = yield* choose(house, pass, from, max)
      if (leaving.length > 0) {
        if (yield* waits(pass, classOf.rows)) return { taken, watermark: null }
        yield* house.rows.mark(segmentIdOf(null, leaving, "rows"), leaving, boundsOf(pass))
        taken += yield* retireAll(house, pass)
      }
      const watermark = at === null ? null : { endedAt: at.endedAt, jobId: at.jobId }
      return { taken, watermark, detail: { rows: taken } }
    })
})

const boundsOf = ({ now, settings }: Pass) => ({ before: rowsBefore(now, settings), now })

/** At most `max` that may leave, and where to go on: null when all was looked through. */
const choose = (house: JobRowHouse, pass: Pass, from: EndedPlace | null, max: number) =>
  Effect.gen(function* () {
    const leaving: Array<JobId> = []
    let at = from
    for (let pages = 0; pages < PAGES_MAX && leaving.length < max; pages++) {
      const limit = max - leaving.length
      const page: ReadonlyArray<LeavableRow> = yield* house.rows.expired(at, boundsOf(pass), limit)
      const free = yield* Effect.forEach(page, (row) => hasNoRecord(house, pass, row), { concurrency: AT_ONCE })
      leaving.push(...page.filter((_, place) => free[place]).map(({ jobId }) => jobId))
      at = page.at(-1) ?? null
      if (page.length < limit) return { leaving, at: null }
    }
    return { leaving, at }
  })

const hasNoRecord = ({ records }: JobRowHouse, { now, namespaces, settings }: Pass, row: LeavableRow) =>
  Effect.gen(function* () {
    const rules = namespaces.find(({ id }) => id === row.namespaceId)?.rules
    if (rules === undefined || rowStays(row.endedAt, now, rules, settings)) return false
    return (yield* records.get(SCOPE, row.jobId)) === null
  })

const retireAll = (house: JobRowHouse, pass: Pass) =>
  Effect.gen(function* () {
    let taken = 0
    for (const { segmentId } of yield* house.rows.retiring) taken += yield* retire(house, pass, segmentId)
    return taken
  })

/** How many rows it let go. */
const retire = (house: JobRowHouse, pass: Pass, segmentId: SegmentId) =>
  Effect.gen(function* () {
    const rows = yield* house.rows.read(segmentId)
    // Somebody else finished it since it was listed.
    if (rows.length === 0) return 0
    const held = new Set(pass.namespaces.flatMap(({ id, rules }) => (rules.held === true ? id : [])))
    // A hold that came after the mark: the batch waits until it is released.
    if (rows.some(({ row }) => held.has(row.job.namespaceId))) return 0
    const fate = fateOf(classOf.rows, pass.hasArchive, pass.settings)
    if (fate._tag === "wait") return 0
    if (fate._tag === "archive") yield* archive(house, pass, segmentId, rows)
    return yield* house.rows.prune(segmentId)
  })

const archive = (house: JobRowHouse, pass: Pass, id: SegmentId, rows: ReadonlyArray<LeavingRow>) => {
  const ends = rows.map(({ row }) => row.finishedAt)
  const ids = rows.map(({ row }) => row.job.id)
  return putAway(
    house,
    {
      id,
      dataClass: "rows",
      namespaceId: null,
      recordVersion: JOB_ROW_VERSION,
      from: Math.min(...ends),
      to: Math.max(...ends),
      createdAt: pass.now,
      lines: rows.map((row) => canonicalJson(encodeRow(row)))
    },
    segmentIdOf(null, ids, "rows") === id
  )
}
