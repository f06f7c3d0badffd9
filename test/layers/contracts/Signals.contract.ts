/** What every Signals must do: the newest of a window, bounded, with what a detector wants to know of each; and who was refused how often. */
import { assert, it } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { Incidents } from "../../../src/layers/Incidents.ts"
import type { NodeId } from "../../../src/schemas/Ids.ts"
import { JobRecords } from "../../../src/layers/JobRecords.ts"
import { Signals } from "../../../src/layers/Signals.ts"
import {
  aFinishedRecord,
  anIncident,
  aRecord,
  freshKey,
  freshNamespace,
  freshNode,
  freshTime,
  operator
} from "../../support/recordFactories.ts"

export const signalsContract = (backEnd: string, layer: Layer.Layer<Signals | JobRecords | Incidents, unknown>) =>
  it.layer(layer)(`Signals on ${backEnd}`, (it) => {
    it.effect("S77: gives the newest jobs that ended within the window, bounded, and none that runs", () =>
      Effect.gen(function* () {
        const [signals, records] = [yield* Signals, yield* JobRecords]
        const from = freshTime()
        const all = [0, 1, 1, 2, 3].map((at) => aFinishedRecord(from + at))
        for (const record of [...all, aRecord({ createdAt: from })]) yield* records.open(record)
        const expected = all
          .filter(({ finishedAt }) => finishedAt !== null && finishedAt < from + 3)
          .toSorted((a, b) => (b.finishedAt ?? 0) - (a.finishedAt ?? 0) || (a.jobId < b.jobId ? 1 : -1))
          .map(({ jobId }) => jobId)
        const idsOf = (max: number) =>
          Effect.map(signals.ended(from, from + 3, max), (jobs) => jobs.map(({ jobId }) => jobId))
        assert.deepStrictEqual(yield* idsOf(10), expected)
        assert.deepStrictEqual(yield* idsOf(2), expected.slice(0, 2))
        assert.deepStrictEqual(yield* signals.ended(from + 4, from + 9, 10), [])
      })
    )

    it.effect("C92: tells of a job its model, node, times, counts and what the node claimed", () =>
      Effect.gen(function* () {
        const [signals, records] = [yield* Signals, yield* JobRecords]
        const finishedAt = freshTime()
        const [nodeId, other] = [freshNode(), freshNode()]
        const claim = { promptTokens: 3, outputTokens: 400, countedTokens: 4, outputBytes: 16 }
        const failures = [{ attempt: 1, nodeId: other, code: "runtime_500" }]
        const base = aFinishedRecord(finishedAt)
        const record = aFinishedRecord(finishedAt, {
          state: "failed",
          errorCode: "no\u0000text",
          constraints: { subcloud: "club" },
          input: { ...base.input, model: "m\u0000" },
          routing: { ...base.routing, nodeId },
          evaluation: { ...base.evaluation, failure: true, failures },
          system: { ...base.system, queueMs: 1, firstTokenMs: 2, totalMs: 3, retries: 1, claim, answer: "00ff" }
        })
        yield* records.open(record)
        assert.deepStrictEqual(yield* signals.ended(finishedAt, finishedAt + 1, 10), [
          {
            jobId: record.jobId,
            finishedAt,
            namespaceId: record.namespaceId,
            model: "m\u0000",
            nodeId,
            subcloud: "club",
            state: "failed",
            errorCode: "no\u0000text",
            promptTokens: 3,
            outputTokens: 4,
            queueMs: 1,
            firstTokenMs: 2,
            totalMs: 3,
            retries: 1,
            failures,
            claim,
            answer: "00ff"
          }
        ])
      })
    )

    it.effect("S81: counts refused requests by key and code, the most frequent first, bounded", () =>
      Effect.gen(function* () {
        const [signals, incidents] = [yield* Signals, yield* Incidents]
        const from = freshTime()
        const namespaceId = freshNamespace()
        const [one, two] = [freshKey(), freshKey()]
        const rejections = (count: number, type: string, over: object = {}) =>
          Array.from({ length: count }, (_, at) =>
            anIncident({ kind: "rejection", type, namespaceId, at: from + at, ...over })
          )
        yield* incidents.raise([
          ...rejections(5, "rate_limited", { keyId: one }),
          ...rejections(3, "request_too_large", { keyId: one }),
          ...rejections(4, "rate_limited", { keyId: two, namespaceId: null }),
          ...rejections(9, "invalid_api_key"),
          ...rejections(9, "slow_job", { keyId: one, kind: "warning" })
        ])
        const rows = yield* signals.refused(from, from + 4, 10)
        assert.deepStrictEqual(rows, [
          { keyId: one, namespaceId, code: "rate_limited", requests: 4 },
          { keyId: two, namespaceId: null, code: "rate_limited", requests: 4 },
          { keyId: one, namespaceId, code: "request_too_large", requests: 3 }
        ])
        assert.deepStrictEqual(yield* signals.refused(from, from + 4, 1), rows.slice(0, 1))
        assert.deepStrictEqual(yield* signals.refused(from + 9, from + 20, 10), [])
      })
    )

    it.effect("counts what customers think, by node and by model, the most rated first", () =>
      Effect.gen(function* () {
        const [signals, records] = [yield* Signals, yield* JobRecords]
        const at = freshTime()
        const [one, two] = [freshNode(), freshNode()]
        const rated = (score: number, nodeId: NodeId | null, model: string, given = at) => {
          const base = aFinishedRecord(at)
          const feedback = { score, label: null, comment: "é\u0000", at: given }
          return aFinishedRecord(at, {
            input: { ...base.input, model },
            routing: { ...base.routing, nodeId },
            evaluation: { ...base.evaluation, feedback }
          })
        }
        const all = [
          rated(1, one, "a\u0000"),
          rated(2, one, "b"),
          rated(5, two, "a\u0000"),
          rated(4, null, "a\u0000"),
          rated(3, one, "b", at + 1),
          rated(5, one, "b", at - 1),
          aFinishedRecord(at)
        ]
        for (const record of all) yield* records.open(record)
        assert.deepStrictEqual(yield* signals.rated("node", at, at + 1, 10), [
          { group: one, ratings: 2, meanScore: 1.5, low: 2 },
          { group: two, ratings: 1, meanScore: 5, low: 0 }
        ])
        assert.deepStrictEqual(yield* signals.rated("model", at, at + 2, 10), [
          { group: "a\u0000", ratings: 3, meanScore: 10 / 3, low: 1 },
          { group: "b", ratings: 2, meanScore: 2.5, low: 1 }
        ])
        assert.lengthOf(yield* signals.rated("model", at, at + 2, 1), 1)
        const [first] = all
        const kept = first === undefined ? null : yield* records.get(operator, first.jobId)
        assert.deepStrictEqual(kept?.evaluation, first?.evaluation)
      })
    )
  })
