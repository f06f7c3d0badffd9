/**
 * Marks on the rows of documents, and their deletion. Marking freezes the whole job: patches find the row no more, the trace is fenced for
 * good, and log entries that come later are neither read nor pruned with the segment. Marks and deletions are durable before they are told.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { SegmentId } from "../../schemas/Archive.ts"
import { withoutBody } from "../../schemas/Body.ts"
import type { JobId } from "../../schemas/Ids.ts"
import type { JobRecord } from "../../schemas/JobRecord.ts"
import * as RecordRetention from "../RecordRetention.ts"
import { freeText, number, SELECT_RECORD, toRecord, word } from "./RecordColumns.ts"
import { ENDED, MAY_LEAVE } from "./RecordsSchema.ts"
import { type During, type Sql, SqliteClient } from "./SqliteClient.ts"
import { entriesOf } from "./SqliteLogs.ts"
import { close, pieces } from "./SqliteTraces.ts"

const during = (method: keyof RecordRetention.Driver): During => ({ of: "RecordRetention", method })

const OF_SEGMENT = "job_id IN (SELECT job_id FROM record INDEXED BY record_marked WHERE segment_id = ?)"

const expiredText = (index: string, condition: string) =>
  `SELECT job_id FROM record INDEXED BY ${index} WHERE namespace_id = ? AND finished_at < ? AND ${condition}
    ORDER BY finished_at, job_id LIMIT ?`

/** Of a part of the jobs, what retention would take. */
export const EXPIRED: Readonly<Record<RecordRetention.Part, string>> = {
  whole: expiredText("record_leaving", `${MAY_LEAVE} AND tombstone IS NULL`),
  stripped: expiredText("record_stripped", `${MAY_LEAVE} AND tombstone IS NOT NULL`),
  held: expiredText("record_held", `segment_id IS NULL AND held = 1 AND ${ENDED}`)
}

/** Each takes the segment first. A statement names its index, or SQLite may think the one of a search good enough. */
export const TEXTS = {
  countMarked: "SELECT count(*) AS jobs FROM record INDEXED BY record_marked WHERE segment_id = ?",
  retiring: `SELECT segment_id, namespace_id, coalesce(leaves_as, 'jobs') AS leaves_as, count(*) AS jobs
    FROM record INDEXED BY record_marked WHERE segment_id IS NOT NULL
    GROUP BY segment_id, namespace_id, leaves_as ORDER BY segment_id, namespace_id`,
  read: `${SELECT_RECORD} WHERE r.segment_id = ? ORDER BY r.finished_at, r.job_id`,
  pruneChunks: `DELETE FROM trace_chunk WHERE ${OF_SEGMENT}`,
  pruneTraces: `DELETE FROM trace WHERE ${OF_SEGMENT}`,
  pruneLogs: `DELETE FROM log WHERE number IN (
    SELECT log.number FROM record INDEXED BY record_marked
    CROSS JOIN log INDEXED BY log_by_job ON log.job_id = record.job_id AND log.number <= record.logs_seen
    WHERE record.segment_id = ?)`,
  pruneRecords: "DELETE FROM record INDEXED BY record_marked WHERE segment_id = ?"
}

const mayBeMarked = (leavesAs: RecordRetention.LeavesAs): string =>
  leavesAs === "held" ? `segment_id IS NULL AND ${ENDED}` : MAY_LEAVE

const mark =
  (segmentId: SegmentId, jobIds: ReadonlyArray<JobId>, leavesAs: RecordRetention.LeavesAs) =>
  (sql: Sql): Result.Result<number> => {
    const newest = sql("SELECT coalesce(max(number), 0) AS number FROM log").get()?.["number"] ?? 0
    const text = `UPDATE record SET segment_id = ?, logs_seen = ?, leaves_as = ? WHERE job_id = ? AND ${mayBeMarked(leavesAs)}`
    for (const jobId of jobIds) {
      if (sql(text).run(segmentId, newest, leavesAs, jobId).changes === 1) close(sql, jobId)
    }
    return Result.succeed(countMarked(sql, segmentId))
  }

const countMarked = (sql: Sql, segmentId: SegmentId): number => Number(sql(TEXTS.countMarked).get(segmentId)?.["jobs"])

const retiring = (sql: Sql): ReadonlyArray<RecordRetention.RetiringSegment> =>
  sql(TEXTS.retiring)
    .all()
    .map((row) => ({
      segmentId: word(row, "segment_id"),
      namespaceId: word(row, "namespace_id"),
      leavesAs: word(row, "leaves_as"),
      count: number(row, "jobs")
    }))

const readSegment = (sql: Sql, segmentId: SegmentId): ReadonlyArray<RecordRetention.ArchivedJob> => {
  const seen = sql("SELECT logs_seen FROM record WHERE job_id = ?")
  return sql(TEXTS.read)
    .all(segmentId)
    .map((row) => {
      const record = toRecord(row)
      const logsSeen = Number(seen.get(record.jobId)?.["logs_seen"])
      return { record, traces: pieces(sql, record.jobId), logs: entriesOf(sql, record.jobId, logsSeen) }
    })
}

/** The order matters: the rows of `record` say what else belongs to the segment, so they go last. Input and output go with them. */
const prune = (segmentId: SegmentId) => (sql: Sql) => {
  sql(TEXTS.pruneChunks).run(segmentId)
  sql(TEXTS.pruneTraces).run(segmentId)
  sql(TEXTS.pruneLogs).run(segmentId)
  const pruned = Number(sql(TEXTS.pruneRecords).run(segmentId).changes)
  sql("UPDATE record_tally SET pruned = pruned + ?").run(pruned)
  return Result.succeed(pruned)
}

/**
 * The body in `record` and beside it is written over, and its pieces go; the closed head of the trace stays, against late ones. What stood there is
 * zeroed in the file, for this may be an erasure.
 */
const strip = (segmentId: SegmentId, stones: ReadonlyArray<RecordRetention.Stone>) => (sql: Sql) => {
  sql("PRAGMA secure_delete = ON").get()
  try {
    let stripped = 0
    for (const { jobId, tombstone } of stones) {
      const row = sql(`${SELECT_RECORD} WHERE r.job_id = ? AND r.segment_id = ?`).get(jobId, segmentId)
      if (row === undefined) continue
      putStripped(sql, withoutBody(toRecord(row), tombstone))
      sql("DELETE FROM trace_chunk WHERE job_id = ?").run(jobId)
      stripped++
    }
    return Result.succeed(stripped)
  } finally {
    sql("PRAGMA secure_delete = OFF").get()
  }
}

const putStripped = (sql: Sql, { jobId, input, output, clientTag, tombstone }: JobRecord) => {
  const ofRecord = "number = (SELECT number FROM record WHERE job_id = ?)"
  sql(`UPDATE record_input SET body = ? WHERE ${ofRecord}`).run(JSON.stringify(input), jobId)
  if (output !== null) sql(`UPDATE record_output SET body = ? WHERE ${ofRecord}`).run(JSON.stringify(output), jobId)
  sql(
    `UPDATE record SET tombstone = ?, workflow = NULL, client_tag = ?, segment_id = NULL, logs_seen = NULL, leaves_as = NULL WHERE job_id = ?`
  ).run(JSON.stringify(tombstone), freeText(clientTag), jobId)
}

const driver = ({ read, write }: SqliteClient["Service"]): RecordRetention.Driver => ({
  expired: (namespaceId, finishedBefore, limit, part = "whole") =>
    read(during("expired"), (sql) =>
      sql(EXPIRED[part])
        .all(namespaceId, finishedBefore, Math.max(limit, 0))
        .map((row): JobId => word(row, "job_id"))
    ),
  mark: (segmentId, jobIds, leavesAs = "jobs") => write(during("mark"), mark(segmentId, jobIds, leavesAs)),
  retiring: read(during("retiring"), retiring),
  read: (segmentId) => read(during("read"), (sql) => readSegment(sql, segmentId)),
  prune: (segmentId, stones) =>
    write(during("prune"), stones === undefined ? prune(segmentId) : strip(segmentId, stones)),
  hold: (jobId, held) =>
    write(during("hold"), (sql) =>
      Result.succeed(
        sql("UPDATE record SET held = ? WHERE job_id = ? AND segment_id IS NULL").run(held ? 1 : 0, jobId).changes === 1
      )
    ),
  counts: read(during("counts"), (sql) => {
    const row = sql("SELECT (SELECT count(*) FROM record) AS live, pruned FROM record_tally").get() ?? {}
    return { live: number(row, "live"), pruned: number(row, "pruned") }
  })
})

export const layer = Layer.effect(
  RecordRetention.RecordRetention,
  Effect.map(SqliteClient, (client) => RecordRetention.make(driver(client)))
)
