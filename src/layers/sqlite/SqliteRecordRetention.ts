/**
 * Marks on the rows of documents, and their deletion. Marking freezes the whole job: patches find the row no more, the trace is fenced for
 * good, and log entries that come later are neither read nor pruned with the segment. Marks and deletions are durable before they are told.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { SegmentId } from "../../schemas/Archive.ts"
import type { JobId } from "../../schemas/Ids.ts"
import * as RecordRetention from "../RecordRetention.ts"
import { number, SELECT_RECORD, toRecord, word } from "./RecordColumns.ts"
import { MAY_LEAVE } from "./RecordsSchema.ts"
import { type During, type Sql, SqliteClient } from "./SqliteClient.ts"
import { entriesOf } from "./SqliteLogs.ts"
import { close, pieces } from "./SqliteTraces.ts"

const during = (method: keyof RecordRetention.Driver): During => ({ of: "RecordRetention", method })

const OF_SEGMENT = "job_id IN (SELECT job_id FROM record INDEXED BY record_marked WHERE segment_id = ?)"

/** Each takes the segment first. A statement names its index, or SQLite may think the one of a search good enough. */
export const TEXTS = {
  expired: `SELECT job_id FROM record INDEXED BY record_leaving WHERE namespace_id = ? AND finished_at < ? AND ${MAY_LEAVE}
    ORDER BY finished_at, job_id LIMIT ?`,
  countMarked: "SELECT count(*) AS jobs FROM record INDEXED BY record_marked WHERE segment_id = ?",
  retiring: `SELECT segment_id, namespace_id, count(*) AS jobs FROM record INDEXED BY record_marked WHERE segment_id IS NOT NULL
    GROUP BY segment_id, namespace_id ORDER BY segment_id, namespace_id`,
  read: `${SELECT_RECORD} WHERE r.segment_id = ? ORDER BY r.finished_at, r.job_id`,
  pruneChunks: `DELETE FROM trace_chunk WHERE ${OF_SEGMENT}`,
  pruneTraces: `DELETE FROM trace WHERE ${OF_SEGMENT}`,
  pruneLogs: `DELETE FROM log WHERE number IN (
    SELECT log.number FROM record INDEXED BY record_marked
    CROSS JOIN log INDEXED BY log_by_job ON log.job_id = record.job_id AND log.number <= record.logs_seen
    WHERE record.segment_id = ?)`,
  pruneRecords: "DELETE FROM record INDEXED BY record_marked WHERE segment_id = ?"
}

const mark = (segmentId: SegmentId, jobIds: ReadonlyArray<JobId>) => (sql: Sql) => {
  const newest = sql("SELECT coalesce(max(number), 0) AS number FROM log").get()?.["number"] ?? 0
  for (const jobId of jobIds) {
    const { changes } = sql(`UPDATE record SET segment_id = ?, logs_seen = ? WHERE job_id = ? AND ${MAY_LEAVE}`).run(
      segmentId,
      newest,
      jobId
    )
    if (changes === 1) close(sql, jobId)
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

const driver = ({ read, write }: SqliteClient["Service"]): RecordRetention.Driver => ({
  expired: (namespaceId, finishedBefore, limit) =>
    read(during("expired"), (sql) =>
      sql(TEXTS.expired)
        .all(namespaceId, finishedBefore, Math.max(limit, 0))
        .map((row): JobId => word(row, "job_id"))
    ),
  mark: (segmentId, jobIds) => write(during("mark"), mark(segmentId, jobIds)),
  retiring: read(during("retiring"), retiring),
  read: (segmentId) => read(during("read"), (sql) => readSegment(sql, segmentId)),
  prune: (segmentId) => write(during("prune"), prune(segmentId)),
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
