/** Questions about many jobs, answered by looking at every unfinished one. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { JobId } from "../../schemas/Ids.ts"
import { type Lane, laneName, laneOf } from "../../schemas/Job.ts"
import type { JobRow } from "../../schemas/JobState.ts"
import { JobSurvey, type Survey } from "../JobStore.ts"
import { byText } from "./MemoryRecords.ts"
import { isAlive, MemoryState, openJobs, type State } from "./MemoryState.ts"

const survey = (state: State): Survey => ({
  due: (now, limit) =>
    Effect.sync(() =>
      rows(state, ({ job }) => job.deadlineAt <= now)
        .toSorted((a, b) => a.job.deadlineAt - b.job.deadlineAt || byText(a.job.id, b.job.id))
        .slice(0, limit)
    ),
  waiting: (before, after, limit) =>
    Effect.sync(() => {
      const announced = announcedJobs(state)
      const waits = ({ job, state, runAt }: JobRow) => state === "queued" && runAt < before && !announced.has(job.id)
      return rows(state, (row) => waits(row) && (after === null || byText(row.job.id, after) > 0))
        .toSorted((a, b) => byText(a.job.id, b.job.id))
        .slice(0, limit)
    }),
  orphans: (limit) =>
    Effect.sync(() => rows(state, ({ owner }) => owner !== null && !isAlive(state, owner)).slice(0, limit)),
  lanes: Effect.sync(() => {
    const lanes = new Map<string, { lane: Lane; waiting: number; oldestAt: number }>()
    for (const { job } of rows(state, ({ state }) => state === "queued")) {
      const lane = laneOf(job)
      const { waiting, oldestAt } = lanes.get(laneName(lane)) ?? { waiting: 0, oldestAt: job.acceptedAt }
      lanes.set(laneName(lane), { lane, waiting: waiting + 1, oldestAt: Math.min(oldestAt, job.acceptedAt) })
    }
    return [...lanes.values()]
  }),
  open: (namespaceId) => Effect.sync(() => state.accounts.get(namespaceId)?.open.size ?? 0)
})

const rows = (state: State, wanted: (row: JobRow) => boolean): ReadonlyArray<JobRow> =>
  openJobs(state)
    .map(({ row }) => row)
    .filter(wanted)

/** Jobs whose message to a lane is not sent yet. */
const announcedJobs = (state: State): ReadonlySet<JobId> =>
  new Set(
    [...state.outbox.values()].flatMap(({ row: { target, envelope } }) =>
      target._tag === "Lane" && envelope.message._tag === "JobQueued" ? [envelope.message.jobId] : []
    )
  )

export const layer: Layer.Layer<JobSurvey, never, MemoryState> = Layer.effect(
  JobSurvey,
  Effect.map(MemoryState, (state) => JobSurvey.of(survey(state)))
)
