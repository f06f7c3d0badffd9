/** What detectors look at, by a look at everything. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { JobRecord } from "../../schemas/JobRecord.ts"
import * as Signals from "../Signals.ts"
import { byText, MemoryRecords, within, type State } from "./MemoryRecords.ts"

const jobOf = ({ finishedAt, ...record }: JobRecord): ReadonlyArray<Signals.EndedJob> => {
  if (finishedAt === null) return []
  const { jobId, namespaceId, state, errorCode, input, routing, output, system, evaluation, constraints } = record
  const facts = {
    jobId,
    finishedAt,
    namespaceId,
    model: input.model,
    nodeId: routing.nodeId,
    state,
    errorCode,
    promptTokens: output?.tokens.prompt ?? 0,
    outputTokens: output?.tokens.completion ?? 0
  }
  return [Signals.endedJob(facts, system, evaluation, constraints)]
}

const driver = (state: State): Signals.Driver => ({
  ended: (from, to, max) =>
    Effect.sync(() =>
      [...state.records.values()]
        .flatMap(({ record }) => jobOf(record))
        .filter(({ finishedAt }) => within(finishedAt, { from, to }))
        .toSorted((a, b) => b.finishedAt - a.finishedAt || byText(b.jobId, a.jobId))
        .slice(0, max)
    ),
  rated: (by, from, to, max) =>
    Effect.sync(() => {
      const scores = new Map<string, Array<number>>()
      for (const { record } of state.records.values()) {
        const { feedback } = record.evaluation
        const group = by === "node" ? record.routing.nodeId : record.input.model
        if (feedback === undefined || group === null || !within(feedback.at, { from, to })) continue
        scores.set(group, [...(scores.get(group) ?? []), feedback.score])
      }
      return [...scores]
        .map(([group, each]): Signals.Ratings => {
          const meanScore = each.reduce((sum, score) => sum + score, 0) / each.length
          const low = each.filter((score) => score <= Signals.LOW_SCORE).length
          return { group, ratings: each.length, meanScore, low }
        })
        .toSorted((a, b) => b.ratings - a.ratings || byText(a.group, b.group))
        .slice(0, max)
    }),
  refused: (from, to, max) =>
    Effect.sync(() => {
      const rows = new Map<string, Signals.RefusedRequests>()
      for (const { kind, keyId, namespaceId, type: code, at } of state.incidents.values()) {
        if (kind !== "rejection" || keyId === undefined || !within(at, { from, to })) continue
        const name = `${keyId} ${namespaceId ?? ""} ${code}`
        rows.set(name, { keyId, namespaceId, code, requests: (rows.get(name)?.requests ?? 0) + 1 })
      }
      return [...rows.values()]
        .toSorted((a, b) => b.requests - a.requests || byText(a.keyId, b.keyId) || byText(a.code, b.code))
        .slice(0, max)
    })
})

export const layer = Layer.effect(
  Signals.Signals,
  Effect.map(MemoryRecords, (state) => Signals.make(driver(state)))
)
