/**
 * Finds out which daemons died and publishes their jobs again; and publishes again what waits in the deciding store while the broker knows
 * nothing of it (it was wiped, or restarted with an empty memory). The claim takes care of what was published needlessly.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { Daemons } from "../../layers/Daemons.ts"
import type { JobSurvey } from "../../layers/JobStore.ts"
import * as Metrics from "../../layers/Metrics.ts"
import type { Outbox } from "../../layers/Outbox.ts"
import { type LaneDepth, PREFETCH_MAX, type Transport } from "../../layers/Transport.ts"
import { SILENCE_MAX_MS } from "../Heart.ts"
import { freshEnvelope } from "../../schemas/Envelope.ts"
import type { DaemonId, JobId } from "../../schemas/Ids.ts"
import { laneName, laneOf } from "../../schemas/Job.ts"
import type { JobRow } from "../../schemas/JobState.ts"
import type { Options } from "./Sweeper.ts"

/** A row this young may be on its way. */
const WAITING_MIN_MS = 1500
/** What was published again is left alone for as long. */
const AGAIN_AFTER_MS = 15_000
const AT_ONCE = 32

export interface ReaperHouse {
  readonly daemonId: DaemonId
  /** Whether this daemon may judge the silence of others. */
  readonly isSteady: Effect.Effect<boolean>
  readonly daemons: Daemons["Service"]
  readonly survey: JobSurvey["Service"]
  readonly outbox: Outbox["Service"]
  readonly transport: Transport["Service"]
}

export const make = (house: ReaperHouse): Options => {
  const published = new Map<JobId, number>()
  return {
    name: "owner-reaper",
    everyMs: 1000,
    batchMax: 500,
    sweepBatch: (watermark, max, dryRun) =>
      Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        for (const [jobId, at] of published) if (now - at > AGAIN_AFTER_MS) published.delete(jobId)
        const mayJudge = !dryRun && (yield* house.isSteady)
        const dead = mayJudge ? yield* house.daemons.bury(now - SILENCE_MAX_MS, house.daemonId) : []
        const orphans = yield* house.survey.orphans(max)
        const lost = yield* lostRows(house, now, max)
        const rows = [...orphans, ...lost].filter(({ job }) => !published.has(job.id))
        const detail = { dead: [...dead], orphans: orphans.length, lost: lost.length }
        if (!dryRun) {
          yield* Effect.forEach(rows, (row) => publishAgain(house, row), { concurrency: AT_ONCE, discard: true })
          for (const { job } of rows) published.set(job.id, now)
          if (rows.length > 0) yield* Metric.update(Metrics.repairs, rows.length)
        }
        return { taken: rows.length, watermark, detail }
      })
  }
}

/** A row of a lane whose depth is only known in part is left alone for so long: it is most likely held by a daemon, until its slot is there. */
const UNSURE_MIN_MS = 10_000

/**
 * Waiting rows of lanes in which the broker has fewer messages than the store has rows. Where the broker does not tell what daemons hold, a lane with
 * nothing ready may have lost what they do not hold; publishing that again costs little, because so much can be held and no more.
 */
const isShort = (rows: number, depth: LaneDepth | undefined, ageMs: number): boolean => {
  if (depth === undefined) return ageMs > WAITING_MIN_MS
  const { ready, unacknowledged, consumers } = depth
  if (unacknowledged !== null) return ageMs > WAITING_MIN_MS && ready + unacknowledged < rows
  if (rows > ready + consumers * PREFETCH_MAX) return ageMs > WAITING_MIN_MS
  return ready === 0 && ageMs > UNSURE_MIN_MS
}

const lostRows = (house: ReaperHouse, now: number, max: number) =>
  Effect.gen(function* () {
    const before = now - WAITING_MIN_MS
    const waiting = yield* house.survey.lanes
    if (waiting.length === 0) return []
    const depths = new Map((yield* house.transport.depths).map((depth) => [depth.name, depth]))
    const short = new Set(
      waiting
        .filter(({ lane, waiting: rows, oldestAt }) => isShort(rows, depths.get(laneName(lane)), now - oldestAt))
        .map(({ lane }) => laneName(lane))
    )
    if (short.size === 0) return []
    const rows: Array<JobRow> = []
    let after: JobId | null = null
    while (rows.length < max) {
      const page: ReadonlyArray<JobRow> = yield* house.survey.waiting(before, after, max)
      rows.push(...page.filter(({ job }) => short.has(laneName(laneOf(job)))))
      after = page.at(-1)?.job.id ?? after
      if (page.length < max) break
    }
    return rows.slice(0, max)
  })

/** Into the outbox first: if we die in between, the relay finds it there. */
const publishAgain = ({ outbox, transport }: ReaperHouse, { job, attempt }: JobRow) =>
  Effect.gen(function* () {
    const createdAt = yield* Clock.currentTimeMillis
    const target = { _tag: "Lane", lane: laneOf(job) } as const
    const envelope = yield* freshEnvelope(
      { _tag: "JobQueued", jobId: job.id, namespaceId: job.namespaceId },
      { deadlineAt: job.deadlineAt, attempt, traceparent: job.traceparent }
    )
    yield* outbox.add([{ id: envelope.id, target, envelope, createdAt }])
    yield* transport.publish(target, envelope)
    yield* outbox.sent([envelope.id])
    const opened = yield* freshEnvelope({ _tag: "LaneOpened", lane: laneName(target.lane) })
    yield* transport.publish({ _tag: "Topic", topic: "lane" }, opened)
  })
