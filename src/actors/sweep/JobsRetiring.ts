/** One marked batch of jobs: whole, or its bodies, or what is left of it once they are gone. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { ArchivedJob, LeavesAs, RetiringSegment, Stone } from "../../layers/RecordRetention.ts"
import { classOf, fateOf, segmentIdOf } from "../../policies/Retention.ts"
import type { JobClass } from "../../schemas/Archive.ts"
import { bodySha256, withoutBody } from "../../schemas/Body.ts"
import { canonicalJson } from "../../schemas/CanonicalJson.ts"
import { JobRecord, RECORD_VERSION } from "../../schemas/JobRecord.ts"
import type { SegmentId } from "../../schemas/SegmentId.ts"
import type { TombstoneCause } from "../../schemas/Tombstone.ts"
import { putAway } from "./PutAway.ts"
import type { Pass, RetentionHouse } from "./RetentionPass.ts"

const encodeRecord = Schema.encodeSync(Schema.toCodecJson(JobRecord))

const ofJobs = (leavesAs: LeavesAs): leavesAs is JobClass => leavesAs !== "erased"

/** How many it let go. */
export const retireJobs = (house: RetentionHouse, pass: Pass, { segmentId, namespaceId, leavesAs }: RetiringSegment) =>
  Effect.gen(function* () {
    if (!ofJobs(leavesAs)) return 0
    const jobs = yield* withReceipts(house, yield* house.retention.read(segmentId))
    // Somebody else finished it since it was listed.
    if (jobs.length === 0) return 0
    const rules = pass.namespaces.find(({ id }) => id === namespaceId)?.rules
    const isUnkept = leavesAs !== "held" && rules?.persistPayloads === false
    const fate = fateOf(classOf[leavesAs], pass.hasArchive, pass.settings)
    const isArchived = fate._tag === "archive" && !(leavesAs === "bodies" && isUnkept)
    // A hold that came after the mark: nothing goes for good any more.
    if (!isArchived && (rules?.held === true || leavesAs === "held")) return 0
    if (fate._tag === "wait" && !isUnkept) return 0
    if (isArchived) yield* archiveJobs(house, pass, { segmentId, namespaceId, leavesAs, jobs, isUnkept })
    if (leavesAs !== "bodies") return yield* house.retention.prune(segmentId)
    const why = isUnkept ? "unkept" : isArchived ? "archived" : "dropped"
    return yield* house.retention.prune(
      segmentId,
      jobs.map((job) => stoneOf(job, pass.now, why, segmentId))
    )
  })

/** A receipt leaves with its record, and is made of its body. Most have theirs long since. */
const withReceipts = ({ desk }: RetentionHouse, jobs: ReadonlyArray<ArchivedJob>) =>
  Effect.forEach(
    jobs,
    (job) =>
      job.record.tombstone === undefined
        ? Effect.map(desk.completed(job.record), (record) => ({ ...job, record }))
        : Effect.succeed(job),
    { concurrency: 16 }
  )

interface Batch {
  readonly segmentId: SegmentId
  readonly namespaceId: RetiringSegment["namespaceId"]
  readonly leavesAs: JobClass
  readonly jobs: ReadonlyArray<ArchivedJob>
  readonly isUnkept: boolean
}

const archiveJobs = (
  house: RetentionHouse,
  pass: Pass,
  { segmentId, namespaceId, leavesAs, jobs, isUnkept }: Batch
) => {
  const ends = jobs.flatMap(({ record }) => (record.finishedAt === null ? [] : [record.finishedAt]))
  const ids = jobs.map(({ record }) => record.jobId)
  const isStripped = leavesAs === "bodies" && jobs.some(({ record }) => record.tombstone !== undefined)
  return putAway(
    house,
    {
      id: segmentId,
      dataClass: leavesAs,
      namespaceId,
      recordVersion: RECORD_VERSION,
      from: Math.min(...ends),
      to: Math.max(...ends),
      createdAt: pass.now,
      lines: jobs.map((job) => lineOf(isUnkept ? unkept(job, pass.now) : job, leavesAs))
    },
    !isStripped && segmentIdOf(namespaceId, ids, leavesAs) === segmentId
  )
}

/** A line as `ArchivedLine` says. Pieces leave with the body, log entries with the rest; both are JSON as they are, and there are too many to encode each. */
const lineOf = ({ record, traces, logs }: ArchivedJob, leavesAs: JobClass): string =>
  canonicalJson({
    record: encodeRecord(record),
    traces: leavesAs === "metadata" ? [] : traces,
    logs: leavesAs === "bodies" ? [] : logs
  } as unknown as Schema.JsonObject)

const unkept = (job: ArchivedJob, now: number): ArchivedJob => ({
  ...job,
  record: withoutBody(job.record, stoneOf(job, now, "unkept", null).tombstone),
  traces: []
})

/** Of a step that broke off, the stone is there already. */
export const stoneOf = (
  { record }: ArchivedJob,
  at: number,
  why: TombstoneCause,
  segmentId: SegmentId | null
): Stone => ({
  jobId: record.jobId,
  tombstone: record.tombstone ?? {
    at,
    why,
    sha256: bodySha256(record),
    segmentId: why === "archived" ? segmentId : null
  }
})
