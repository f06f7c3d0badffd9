/**
 * A trial from its plan to its end: ask for its job, wait until that is over, judge the answer, count what it says of the node. Each step may be repeated
 * after a crash: the job is admitted under the trial's id, and evidence is counted under it.
 */
import { createHash } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as Schema from "effect/Schema"
import * as Metrics from "../../layers/Metrics.ts"
import { likeness } from "../../policies/AnswerText.ts"
import { judge } from "../../policies/Expectations.ts"
import { erasureMarkOf } from "../../policies/Retention.ts"
import { bodySha256 } from "../../schemas/Body.ts"
import type { JobId } from "../../schemas/Ids.ts"
import { isTerminal, type JobRow } from "../../schemas/JobState.ts"
import { ANSWER_KEPT_MAX, type Check, type Evidence, type Trial } from "../../schemas/Quality.ts"
import { SCOPE, type TrialHouse } from "./TrialHouse.ts"

/** A plan that nobody could act upon, or an answer whose record does not come, is given up after this. */
const PATIENCE_MS = 10 * 60_000
/** Answers of the same request at temperature 0 that are less alike than this differ. */
export const LIKE_MIN = 0.8

interface Verdict {
  readonly state: "passed" | "failed" | "void"
  readonly checks: ReadonlyArray<Check>
  readonly score: number | null
  readonly code: string | null
  readonly answer: string | null
}

/** Afterwards the trial is as far as it can be now. True: it has ended. */
export const advance = (house: TrialHouse, trial: Trial) =>
  Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    if (trial.jobId === null) return yield* begin(house, trial, now)
    const row = yield* house.store.get(trial.jobId)
    if (row === null) return yield* end(house, trial, nothing("no_job"), now)
    if (!isTerminal(row.state)) return false
    const verdict = yield* verdictOn(house, trial, row, now)
    if (verdict === null) return false
    if (trial.setId === null && !(yield* withoutText(house, row.job.id, now))) return false
    return yield* end(house, trial, verdict, now)
  })

/** null: its answer may still come. */
const verdictOn = (house: TrialHouse, trial: Trial, row: JobRow, now: number) =>
  Effect.gen(function* () {
    if (row.state !== "completed") return nothing(row.errorCode ?? row.state)
    const answer = yield* answerOf(house, row.job.id)
    if (answer === null) return now - (row.finishedAt ?? now) > PATIENCE_MS ? nothing("no_answer") : null
    return row.nodeId === trial.nodeId ? yield* verdictOf(house, trial, answer) : nothing("other_node")
  })

/**
 * What a customer asked and was answered stands in his own record alone, and goes when that goes: record and trace of the replica are without it once this
 * is true. False: it cannot be taken away yet, because the record is not closed.
 */
const withoutText = ({ records, retention }: TrialHouse, jobId: JobId, at: number) =>
  Effect.gen(function* () {
    const record = yield* records.get(SCOPE, jobId)
    if (record === null || record.held || record.tombstone !== undefined) return true
    const mark = erasureMarkOf(jobId)
    if ((yield* retention.mark(mark, [jobId], "erased")) === 0) return false
    const tombstone = { at, why: "dropped" as const, sha256: bodySha256(record), segmentId: null }
    return (yield* retention.prune(mark, [{ jobId, tombstone }])) === 1
  })

/** Asks for its job. Whatever a customer would be refused for may pass; so it is asked again for a while. */
const begin = (house: TrialHouse, trial: Trial, now: number) =>
  Effect.gen(function* () {
    const request = trial.order === null ? null : (trial.order.request ?? (yield* originalRequest(house, trial)))
    if (trial.order === null || request === null) return yield* end(house, trial, nothing("no_request"), now)
    const { id: trialId, environment, nodeId, model, endpoint } = trial
    const { mode, deadlineMs } = trial.order
    const admitted = yield* house.reach
      .admit({ trialId, environment, nodeId, model, endpoint, mode, deadlineMs, request })
      .pipe(
        Effect.map((jobId) => ({ jobId, code: null })),
        Effect.catchTag("Refusal", ({ code }) => Effect.succeed({ jobId: null, code }))
      )
    if (admitted.jobId !== null) {
      yield* house.quality.put({ ...trial, state: "running", jobId: admitted.jobId })
      return false
    }
    return now - trial.plannedAt < PATIENCE_MS ? false : yield* end(house, trial, nothing(admitted.code), now)
  })

const nothing = (code: string): Verdict => ({ state: "void", checks: [], score: null, code, answer: null })

/** null while the record is not closed, or when it is gone. */
const answerOf = ({ records }: TrialHouse, jobId: JobId) =>
  Effect.map(records.get(SCOPE, jobId), (record) =>
    record === null || record.completeness !== "complete" ? null : (record.output?.choices[0]?.text ?? null)
  )

const originalRequest = ({ records }: TrialHouse, { replicaOf }: Trial) =>
  replicaOf === null
    ? Effect.succeed(null)
    : Effect.map(records.get(SCOPE, replicaOf.jobId), (record) => {
        const request = record?.input.request ?? null
        return typeof request === "object" && request !== null && !Array.isArray(request)
          ? (request as Schema.JsonObject)
          : null
      })

const verdictOf = (house: TrialHouse, trial: Trial, answer: string) =>
  Effect.gen(function* () {
    const { replicaOf } = trial
    if (replicaOf === null) {
      const { checks, score, passed } = judge(trial.expect, answer)
      return judged(passed, checks, score, answer)
    }
    const original = yield* answerOf(house, replicaOf.jobId)
    if (original === null) return nothing("no_original")
    const score = likeness(original, answer)
    const ok = score >= LIKE_MIN
    return judged(ok, [{ check: "likeness", ok }], score, answer)
  })

const judged = (passed: boolean, checks: ReadonlyArray<Check>, score: number, answer: string): Verdict => ({
  state: passed ? "passed" : "failed",
  checks,
  score,
  code: null,
  answer
})

const end = (house: TrialHouse, trial: Trial, verdict: Verdict, now: number) =>
  Effect.gen(function* () {
    const { state, checks, score, code, answer } = verdict
    yield* house.quality.count(evidenceOf(trial, verdict, now))
    yield* house.quality.put({
      ...trial,
      state,
      checks,
      score,
      code,
      endedAt: now,
      order: null,
      answer: answer === null || trial.setId === null ? null : answer.slice(0, ANSWER_KEPT_MAX),
      answerSha256: answer === null ? null : createHash("sha256").update(answer).digest("hex")
    })
    yield* Metric.update(Metric.withAttributes(Metrics.trials, { kind: trial.kind, outcome: state }), 1)
    return true
  })

/** A replica speaks of both nodes. When they differ nobody knows which of them is right, so each bears half of it. */
const evidenceOf = (trial: Trial, { state, checks }: Verdict, now: number): ReadonlyArray<Evidence> => {
  if (state === "void") return []
  const faults = Object.fromEntries(checks.flatMap(({ check, ok }) => (ok ? [] : [[check, 1]])))
  const { id, nodeId, model, replicaOf } = trial
  const weight = replicaOf === null || state === "passed" ? 1 : 0.5
  const one = {
    id: `${id}`,
    nodeId,
    model,
    source: "trials",
    at: now,
    passed: state === "passed" ? weight : 0,
    failed: state === "failed" ? weight : 0,
    faults
  } as const
  return replicaOf === null ? [one] : [one, { ...one, id: `${id}/original`, nodeId: replicaOf.nodeId }]
}
