/** What detectors look at, by the index of ends and by that of refused keys. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Document } from "mongodb"
import type { Evaluation, JobRecord, SystemMetrics } from "../../schemas/JobRecord.ts"
import * as Signals from "../Signals.ts"
import type { JobDocument } from "./Collections.ts"
import { MongoClient } from "./MongoClient.ts"
import { readOrNull, readText } from "./StoredText.ts"

const during = (method: keyof Signals.Driver) => ({ of: "Signals", method })

type Holder = Pick<MongoClient["Service"], "collections">

const FIELDS = {
  finishedAt: 1,
  namespaceId: 1,
  model: 1,
  nodeId: 1,
  state: 1,
  errorCode: 1,
  promptTokens: 1,
  outputTokens: 1,
  system: 1,
  evaluation: 1,
  constraints: 1
} as const

export const findEnded = ({ collections: { jobs } }: Holder, from: number, to: number, max: number) =>
  jobs
    .find({ finishedAt: { $gte: from, $lt: to } }, { projection: FIELDS })
    .hint("by_finished")
    .sort({ finishedAt: -1, _id: -1 })
    .limit(max)

export const refusedPipeline = (from: number, to: number, max: number): Array<Document> => [
  { $match: { kind: "rejection", keyId: { $gte: "" }, at: { $gte: from, $lt: to } } },
  { $group: { _id: { keyId: "$keyId", namespaceId: "$namespaceId", type: "$type" }, requests: { $sum: 1 } } },
  { $sort: { requests: -1, "_id.keyId": 1, "_id.type": 1 } },
  { $limit: max }
]

export const ratedPipeline = (by: Signals.RatedBy, from: number, to: number, max: number): Array<Document> => {
  const field = by === "node" ? "nodeId" : "model"
  return [
    { $match: { feedbackAt: { $gte: from, $lt: to }, [field]: { $gte: "" } } },
    {
      $group: {
        _id: `$${field}`,
        ratings: { $sum: 1 },
        scores: { $sum: "$feedbackScore" },
        low: { $sum: { $cond: [{ $lte: ["$feedbackScore", Signals.LOW_SCORE] }, 1, 0] } }
      }
    },
    { $sort: { ratings: -1, _id: 1 } },
    { $limit: max }
  ]
}

type Count = number | bigint

interface Rated {
  readonly _id: string
  readonly ratings: Count
  readonly scores: Count
  readonly low: Count
}

const ratingsOf = ({ _id, ratings, scores, low }: Rated): Signals.Ratings => ({
  group: readText(_id),
  ratings: Number(ratings),
  meanScore: Number(scores) / Number(ratings),
  low: Number(low)
})

/** Large ones are files, and no detector goes there. */
const body = <A>(text: string | null, otherwise: A): A => (text === null ? otherwise : (JSON.parse(text) as A))

const NOTHING: SystemMetrics = {
  queueMs: null,
  dispatchMs: null,
  firstTokenMs: null,
  totalMs: null,
  retries: 0,
  gpu: null,
  configDigest: ""
}

const jobOf = (stored: JobDocument): Signals.EndedJob =>
  Signals.endedJob(
    {
      jobId: stored._id as Signals.EndedJob["jobId"],
      finishedAt: Number(stored.finishedAt),
      namespaceId: stored.namespaceId as Signals.EndedJob["namespaceId"],
      model: readText(stored.model),
      nodeId: stored.nodeId as Signals.EndedJob["nodeId"],
      state: stored.state as Signals.EndedJob["state"],
      errorCode: readOrNull(stored.errorCode),
      promptTokens: stored.promptTokens,
      outputTokens: stored.outputTokens
    },
    body<SystemMetrics>(stored.system, NOTHING),
    body<Evaluation>(stored.evaluation, { failure: false, failures: [], lowConfidence: null, moderation: [] }),
    body<JobRecord["constraints"]>(stored.constraints, {})
  )

interface Counted {
  readonly _id: { readonly keyId: string; readonly namespaceId: string | null; readonly type: string }
  readonly requests: number | bigint
}

const refusedOf = ({ _id: { keyId, namespaceId, type }, requests }: Counted): Signals.RefusedRequests => ({
  keyId: keyId as Signals.RefusedRequests["keyId"],
  namespaceId: namespaceId as Signals.RefusedRequests["namespaceId"],
  code: type,
  requests: Number(requests)
})

export const layer: Layer.Layer<Signals.Signals, never, MongoClient> = Layer.effect(
  Signals.Signals,
  Effect.map(MongoClient, (client) =>
    Signals.make({
      ended: (from, to, max) =>
        client.run(during("ended"), async () => (await findEnded(client, from, to, max).toArray()).map(jobOf)),
      rated: (by, from, to, max) =>
        client.runLong(during("rated"), async () => {
          const rated = client.collections.jobs.aggregate<Rated>(ratedPipeline(by, from, to, max), {
            hint: "by_feedback"
          })
          return (await rated.toArray()).map(ratingsOf)
        }),
      refused: (from, to, max) =>
        client.run(during("refused"), async () => {
          const counted = client.collections.incidents.aggregate<Counted>(refusedPipeline(from, to, max), {
            hint: "by_refused_key"
          })
          return (await counted.toArray()).map(refusedOf)
        })
    })
  )
)
