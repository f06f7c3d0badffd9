/**
 * Finished jobs past their namespace's retention: choose and mark a batch, archive it, read it back and verify, and only then prune. Whoever comes
 * after a crash goes on with the marked batches first. A broken archive stops deletion and says so.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Archive, type BrokenSegment } from "../../layers/Archive.ts"
import type { Incidents } from "../../layers/Incidents.ts"
import type { Namespaces } from "../../layers/Namespaces.ts"
import { Outage } from "../../layers/Outage.ts"
import type { ArchivedJob, RecordRetention, RetiringSegment } from "../../layers/RecordRetention.ts"
import { finishedBefore, segmentIdOf } from "../../policies/Retention.ts"
import { ArchivedLine } from "../../schemas/Archive.ts"
import { canonicalJson } from "../../schemas/CanonicalJson.ts"
import { freshIncidentId } from "../../schemas/Ids.ts"
import { RECORD_VERSION } from "../../schemas/JobRecord.ts"
import type { Namespace } from "../../schemas/Namespace.ts"
import type { ReceiptDesk } from "../ReceiptDesk.ts"
import type { Options } from "./Sweeper.ts"

export interface RetentionHouse {
  readonly namespaces: Namespaces["Service"]
  readonly retention: RecordRetention["Service"]
  readonly archive: Archive["Service"]
  readonly incidents: Incidents["Service"]
  readonly desk: ReceiptDesk["Service"]
}

const encodeLine = Schema.encodeSync(ArchivedLine)

export const make = (house: RetentionHouse): Options => ({
  name: "retention",
  everyMs: 60_000,
  batchMax: 500,
  sweepBatch: (watermark, max, dryRun) =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      if (dryRun) return yield* count(house, now, max)
      const unfinished = yield* house.retention.retiring
      if (unfinished.length === 0) yield* choose(house, now, max)
      let taken = 0
      for (const segment of yield* house.retention.retiring) taken += yield* retire(house, segment)
      return { taken, watermark }
    })
})

const count = (house: RetentionHouse, now: number, max: number) =>
  Effect.gen(function* () {
    let taken = 0
    const detail: Record<string, number> = {}
    for (const namespace of yield* house.namespaces.list) {
      const due = yield* house.retention.expired(namespace.id, finishedBefore(now, namespace.rules), max)
      if (due.length > 0) detail[namespace.id] = due.length
      taken += due.length
    }
    return { taken, watermark: null, detail }
  })

/** Marks one batch: of the first namespace that has something to let go. */
const choose = (house: RetentionHouse, now: number, max: number) =>
  Effect.gen(function* () {
    for (const namespace of yield* house.namespaces.list) {
      const due = yield* expiredOf(house, namespace, now, max)
      if (due.length === 0) continue
      yield* house.retention.mark(segmentIdOf(namespace.id, due), due)
      return
    }
  })

const expiredOf = ({ retention }: RetentionHouse, { id, rules }: Namespace, now: number, max: number) =>
  retention.expired(id, finishedBefore(now, rules), max)

const retire = (house: RetentionHouse, { segmentId, namespaceId }: RetiringSegment) =>
  Effect.gen(function* () {
    const jobs = yield* withReceipts(house, yield* house.retention.read(segmentId))
    // Somebody else finished it since it was listed.
    if (jobs.length === 0) return 0
    const ends = jobs.flatMap(({ record }) => (record.finishedAt === null ? [] : [record.finishedAt]))
    const now = yield* Clock.currentTimeMillis
    yield* house.archive.write({
      id: segmentId,
      dataClass: "jobs",
      namespaceId,
      recordVersion: RECORD_VERSION,
      from: Math.min(...ends),
      to: Math.max(...ends),
      createdAt: now,
      lines: jobs.map(lineOf)
    })
    const manifest = yield* house.archive.verify(segmentId)
    // More than is left: an earlier prune of this segment broke off.
    if (manifest.count < jobs.length) {
      return yield* new Outage({ of: "Archive", during: "verify", cause: `${manifest.count} of ${jobs.length} lines` })
    }
    return yield* house.retention.prune(segmentId)
  }).pipe(Effect.catchTag("BrokenSegment", (broken) => stopFor(house, broken)))

/** A receipt leaves with its record. Most have theirs long since. */
const withReceipts = ({ desk }: RetentionHouse, jobs: ReadonlyArray<ArchivedJob>) =>
  Effect.forEach(jobs, (job) => Effect.map(desk.completed(job.record), (record) => ({ ...job, record })), {
    concurrency: 16
  })

const lineOf = (job: ArchivedJob): string => canonicalJson(encodeLine(job))

/** Nothing is deleted on the strength of a broken segment; the next pass writes it again. */
const stopFor = ({ incidents }: RetentionHouse, { segmentId, why }: BrokenSegment) =>
  Effect.gen(function* () {
    const incident = {
      id: yield* freshIncidentId,
      kind: "warning" as const,
      type: "archive_broken",
      severity: "high" as const,
      subject: "sweeper/retention",
      stage: "verify",
      jobId: null,
      nodeId: null,
      namespaceId: null,
      observed: { segmentId, why },
      expected: null,
      at: yield* Clock.currentTimeMillis
    }
    yield* incidents.raise([incident])
    return yield* new Outage({ of: "Archive", during: "verify", cause: why })
  })
