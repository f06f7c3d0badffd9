/** What a job's actor writes down of its attempts: the routing part of the record, and the typed log of its namespace. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as Schema from "effect/Schema"
import * as Metrics from "../../layers/Metrics.ts"
import { recordSpan } from "../../layers/Traced.ts"
import type { NodeId } from "../../schemas/Ids.ts"
import type { Fault } from "../../schemas/JobMoment.ts"
import type { AttemptRecord, LogEntry, LogType } from "../../schemas/JobRecord.ts"
import type { AttemptState } from "../../schemas/JobState.ts"
import type { JobActorState } from "./JobActorState.ts"

export const logEntry = (
  state: JobActorState,
  type: LogType,
  code: string,
  at: number,
  data: LogEntry["data"] = {}
): LogEntry => ({
  namespaceId: state.job.namespaceId,
  type,
  at,
  jobId: state.job.id,
  nodeId: state.machine.nodeId,
  code,
  data
})

export const note = (
  state: JobActorState,
  type: LogType,
  code: string,
  at: number,
  data: Record<string, Schema.Json> = {}
): void => void state.logs.push(logEntry(state, type, code, at, data))

/** Of an attempt that the job has left already. */
const noteOf = (
  { nodeId }: AttemptRecord,
  state: JobActorState,
  entry: Omit<LogEntry, "namespaceId" | "jobId" | "nodeId">
) => void state.logs.push({ ...logEntry(state, entry.type, entry.code, entry.at, entry.data), nodeId })

export const noteAttemptOpened = (state: JobActorState, nodeId: NodeId, now: number): void => {
  const { machine, routing } = state
  const attempt: AttemptRecord = {
    attempt: machine.attempt,
    epoch: machine.epoch,
    nodeId,
    state: "assigned",
    leasedAt: state.leasedAt ?? now,
    assignedAt: now,
    firstTokenAt: null,
    endedAt: null,
    cause: null,
    firstSeq: state.attempt.firstSeq,
    tokens: 0
  }
  const previous = routing.attempts.at(-1)
  const fallback =
    previous === undefined
      ? []
      : [{ from: previous.nodeId, to: nodeId, reason: previous.cause ?? "lost", attempt: machine.attempt, at: now }]
  state.routing = {
    ...routing,
    nodeId,
    assignedAt: now,
    attempts: [...routing.attempts, attempt],
    fallbacks: [...routing.fallbacks, ...fallback]
  }
  note(state, "routing", "assigned", now, { attempt: machine.attempt })
  for (const { from, to, reason } of fallback) {
    note(state, "routing", "fallback", now, { from, to, reason, attempt: machine.attempt })
  }
}

const STATES: Readonly<Record<string, AttemptState>> = {
  succeeded: "succeeded",
  accept_timeout: "timed_out",
  idle_timeout: "timed_out",
  execution_timeout: "timed_out",
  deadline: "timed_out",
  attempt_lost: "fenced",
  node_lost: "failed",
  cancelled: "fenced"
}

const LIMITS = { accept_timeout: "acceptMs", idle_timeout: "idleMs", execution_timeout: "executionMs" } as const

export const noteAttemptClosed = (state: JobActorState, code: string, fault: Fault): Effect.Effect<void> =>
  Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const last = state.routing.attempts.at(-1)
    if (last === undefined || last.endedAt !== null) return
    const closed: AttemptRecord = {
      ...last,
      state: STATES[code] ?? (fault === "nobody" ? "rejected" : "failed"),
      firstTokenAt: state.attempt.firstTokenAt,
      endedAt: now,
      cause: code === "succeeded" ? null : code,
      tokens: state.attempt.counted.tokens
    }
    state.routing = { ...state.routing, attempts: [...state.routing.attempts.slice(0, -1), closed] }
    yield* recordSpan({
      name: "job.attempt",
      traceparent: state.job.traceparent,
      kind: "client",
      startedAt: last.assignedAt ?? last.leasedAt,
      endedAt: now,
      code: closed.cause,
      attributes: {
        "job.id": state.job.id,
        "job.attempt": last.attempt,
        "node.id": last.nodeId,
        "output.tokens": closed.tokens
      }
    })
    if (code === "succeeded") return
    if (fault !== "nobody") {
      state.failures = [...state.failures, { attempt: last.attempt, nodeId: last.nodeId, code }]
      yield* Metric.update(Metric.withAttributes(Metrics.attemptsFailed, { code }), 1)
    }
    const limit = code in LIMITS ? LIMITS[code as keyof typeof LIMITS] : undefined
    const limitMs = limit === undefined ? {} : { timer: limit, limitMs: state.settings[limit] }
    const data = { attempt: last.attempt, cause: code, ...limitMs }
    noteOf(last, state, { type: "execution", code: limit === undefined ? code : "timeout", at: now, data })
  })

/** Another attempt follows, after so long. */
export const noteRetry = (state: JobActorState, delayMs: number): Effect.Effect<void> =>
  Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const last = state.routing.attempts.at(-1)
    if (last === undefined) return
    const data = { attempt: last.attempt, cause: last.cause, failures: state.machine.failures, delayMs }
    noteOf(last, state, { type: "routing", code: "retry", at: now, data })
  })
