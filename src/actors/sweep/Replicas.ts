/**
 * Which jobs are done once more by another node, to compare the answers later: repeatable trials, and repeatable jobs of namespaces whose rules allow it.
 * Only what was asked at temperature 0 with one choice should give the same answer twice.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { JobSummary } from "../../layers/JobSearch.ts"
import { isRepeatable } from "../../policies/TrialShape.ts"
import { isSystemNamespace } from "../../schemas/Namespace.ts"
import type { NodePresence } from "../../schemas/NodeProfile.ts"
import type { Trial } from "../../schemas/Quality.ts"
import { oneOf } from "./Chance.ts"
import { SCOPE, type TrialHouse } from "./TrialHouse.ts"
import { replicaIdOf } from "./TrialIds.ts"

/** Looked at in one pass: namespaces that allow it, and finished jobs of each. */
const NAMESPACES_MAX = 50
const JOBS_MAX = 200
/** Jobs that took longer than this are not looked at. */
const TOOK_MAX_MS = 3_600_000

/** Of customers' jobs that ended in (from, to]. Where payloads are not kept no second copy is made. */
export const ofJobs = (house: TrialHouse, from: number, to: number, max: number) =>
  Effect.gen(function* () {
    const { replicaShare } = (yield* house.settings.current).settings
    if (replicaShare === 0 || max <= 0) return []
    const allowed = (yield* house.namespaces.list).filter(
      ({ id, rules }) => rules.replicate === true && rules.persistPayloads && !isSystemNamespace(id)
    )
    const trials: Array<Trial> = []
    for (const { id: namespaceId } of allowed.slice(0, NAMESPACES_MAX)) {
      const scope = { _tag: "Namespace", namespaceId } as const
      const filter = { state: "completed", from: from - TOOK_MAX_MS } as const
      for (const job of yield* house.search.search(scope, filter, null, JOBS_MAX)) {
        const { finishedAt } = job
        if (finishedAt === null || finishedAt <= from || finishedAt > to || trials.length >= max) continue
        if ((yield* Random.next) >= replicaShare) continue
        const trial = yield* ofJob(house, job, null, to)
        if (trial !== null) trials.push(trial)
      }
    }
    return trials
  })

/** Of a trial that has just been judged. */
export const ofTrial = (house: TrialHouse, trial: Trial, now: number) =>
  Effect.gen(function* () {
    const { replicaShare } = (yield* house.settings.current).settings
    const { jobId, nodeId, model, endpoint } = trial
    if (jobId === null || trial.kind !== "blind" || replicaShare === 0 || (yield* Random.next) >= replicaShare)
      return null
    return yield* ofJob(house, { jobId, nodeId, model, endpoint }, trial, now)
  })

type Original = Pick<JobSummary, "jobId" | "nodeId" | "model" | "endpoint">

/** null: it cannot be repeated, or nobody else could do it. */
const ofJob = (house: TrialHouse, { jobId, nodeId, model, endpoint }: Original, trial: Trial | null, now: number) =>
  Effect.gen(function* () {
    if (endpoint === "embeddings" || nodeId === null) return null
    const record = yield* house.records.get(SCOPE, jobId)
    if (record === null || !isRepeatable(record.input.request)) return null
    const { environment } = record
    const isFit = (node: NodePresence) =>
      node.nodeId !== nodeId && node.environment === environment && couldRepeat(node, model, endpoint)
    const other = yield* oneOf((yield* house.live.list(now)).filter(isFit))
    if (other === undefined) return null
    return {
      id: replicaIdOf(jobId),
      kind: "replica",
      state: "planned",
      environment,
      nodeId: other.nodeId,
      model,
      endpoint,
      setId: trial?.setId ?? null,
      setVersion: trial?.setVersion ?? null,
      promptId: trial?.promptId ?? null,
      expect: [],
      replicaOf: { jobId, nodeId },
      order: { mode: record.input.mode, deadlineMs: null, request: null },
      jobId: null,
      plannedAt: now,
      endedAt: null,
      answer: null,
      answerSha256: null,
      checks: [],
      score: null,
      code: null
    } satisfies Trial
  })

const couldRepeat = (node: NodePresence, model: string, endpoint: "chat" | "completions"): boolean =>
  node.lifecycle === "active" &&
  node.healthy &&
  node.restrictions.length === 0 &&
  node.models.some(({ name, endpoints }) => name === model && endpoints.includes(endpoint))
