/**
 * Trials, evidence and standings, each a document of the collection `quality`. Evidence is stored before its standing is told of it, so a call that was
 * cut off and is repeated leaves the standing pending once more, and counts nothing twice.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Filter } from "mongodb"
import type { NodeId } from "../../schemas/Ids.ts"
import type { Evidence, Score, Standing, Trial } from "../../schemas/Quality.ts"
import {
  type Driver,
  type Forgetting,
  hasEnded,
  make,
  type OpenTrials,
  Quality,
  type StandingQuery,
  type TrialQuery
} from "../Quality.ts"
import type { Collections, QualityDocument } from "./Collections.ts"
import * as MongoBatch from "./MongoBatch.ts"
import { DURABLE, LASTING, MongoClient } from "./MongoClient.ts"
import { NOTHING } from "./MongoEvaluationSets.ts"
import { readText, storedText } from "./StoredText.ts"

type Filters = Filter<QualityDocument>

const during = (method: keyof Driver) => ({ of: "Quality", method })

const trialKey = (id: string) => `trial/${id}`
const standingKey = (nodeId: NodeId, model: string) => `standing/${nodeId}/${storedText(model)}`

const trialFields = (trial: Trial): Omit<QualityDocument, "_id"> => ({
  ...NOTHING,
  family: "trial",
  at: trial.plannedAt,
  nodeId: trial.nodeId,
  model: storedText(trial.model),
  setId: trial.setId,
  kind: trial.kind,
  state: trial.state,
  open: !hasEnded(trial),
  body: JSON.stringify(trial)
})

/** An end that stands there has the id, so the upsert beside it finds it taken and changes nothing. */
const put = ({ quality }: Collections, trial: Trial) =>
  MongoBatch.bulk(
    quality,
    [
      {
        updateOne: {
          filter: { _id: trialKey(trial.id), open: true },
          update: { $set: trialFields(trial) },
          upsert: true
        }
      }
    ],
    DURABLE
  )

const asked = (fields: Readonly<Record<string, string | undefined>>): Filters =>
  Object.fromEntries(
    Object.entries(fields).flatMap(([field, value]) => (value === undefined ? [] : [[field, { $eq: value }]]))
  )

const modelIn = (model: string | undefined) => (model === undefined ? undefined : storedText(model))

const trialIndex = ({ nodeId, setId }: TrialQuery): string => {
  if (nodeId !== undefined) return "by_node_time"
  return setId === undefined ? "by_time" : "by_set"
}

export const findTrials = ({ quality }: Pick<Collections, "quality">, query: TrialQuery | OpenTrials) => {
  if ("open" in query) return quality.find({ open: true }).hint("open").sort({ at: 1, _id: 1 }).limit(query.open)
  const { kind, state, nodeId, setId, limit } = query
  const filter = asked({ nodeId, setId, kind, state, model: modelIn(query.model) })
  return quality
    .find({ family: "trial", ...filter })
    .hint(trialIndex(query))
    .sort({ at: -1, _id: -1 })
    .limit(limit)
}

const evidenceOf = (one: Evidence): QualityDocument => ({
  ...NOTHING,
  _id: `evidence/${one.id}`,
  family: "evidence",
  at: one.at,
  nodeId: one.nodeId,
  model: storedText(one.model),
  source: one.source,
  body: JSON.stringify(one)
})

const count = async ({ quality }: Collections, evidence: ReadonlyArray<Evidence>): Promise<void> => {
  const concern = evidence.some(({ source }) => source === "trials") ? DURABLE : LASTING
  await MongoBatch.bulk(
    quality,
    evidence.map((one) => ({ insertOne: { document: evidenceOf(one) } })),
    concern
  )
  const { rev: _rev, pending: _pending, ...fresh } = NOTHING
  const standings = evidence.map(({ nodeId, model }) => ({
    updateOne: {
      filter: { _id: standingKey(nodeId, model) },
      update: {
        $inc: { rev: 1 },
        $set: { pending: true },
        $setOnInsert: { ...fresh, family: "standing" as const, at: 0, nodeId, model: storedText(model) }
      },
      upsert: true
    }
  }))
  // Of one made by two at once, the second learns that it is there.
  if ((await MongoBatch.bulk(quality, standings, concern)) === null) await MongoBatch.bulk(quality, standings, concern)
}

export const findEvidence = (
  { quality }: Pick<Collections, "quality">,
  ...[nodeId, model, source, limit]: Parameters<Driver["evidence"]>
) =>
  quality
    .find({ family: "evidence", ...asked({ nodeId, model: storedText(model), source }) })
    .hint("by_node")
    .sort({ at: -1, _id: -1 })
    .limit(limit)

export const findStandings = (
  { quality }: Pick<Collections, "quality">,
  { pending, nodeId, model, limit }: StandingQuery
) => {
  const filter = asked({ nodeId, model: modelIn(model) })
  return pending === true
    ? quality
        .find({ pending: true, ...filter })
        .hint("pending")
        .sort({ nodeId: 1, model: 1 })
        .limit(limit)
    : quality
        .find({ family: "standing", ...filter })
        .hint("by_node")
        .sort({ nodeId: 1, model: 1 })
        .limit(limit)
}

const standingOf = ({ nodeId, model, rev, scoredRev, body }: QualityDocument): Standing => ({
  nodeId: (nodeId ?? "") as NodeId,
  model: readText(model ?? ""),
  rev: Number(rev),
  scoredRev: Number(scoredRev),
  score: body === null ? null : (JSON.parse(body) as Score)
})

/** The score first; then it is no longer pending, unless something was counted in between. */
const settle = async ({ quality }: Collections, { nodeId, model, rev, score }: Parameters<Driver["settle"]>[0]) => {
  const _id = standingKey(nodeId, model)
  const scored = { $set: { scoredRev: rev, body: JSON.stringify(score) } }
  await quality.updateOne({ _id, scoredRev: { $lte: rev } }, scored, DURABLE)
  await quality.updateOne({ _id, rev, scoredRev: rev }, { $set: { pending: false } }, DURABLE)
}

const forget = async ({ quality }: Collections, what: Forgetting): Promise<number> => {
  if (what._tag === "Node") {
    await quality.deleteMany({ family: "standing", nodeId: { $eq: what.nodeId } }, DURABLE)
    return (await quality.deleteMany({ family: "evidence", nodeId: { $eq: what.nodeId } }, DURABLE)).deletedCount
  }
  let gone = 0
  for (const family of ["trial", "evidence"] as const) {
    const old = await quality
      .find({ family, at: { $lt: what.before }, open: false }, { projection: { _id: 1 } })
      .hint("by_time")
      .sort({ at: 1, _id: 1 })
      .limit(what.limit)
      .toArray()
    if (old.length === 0) continue
    gone += (await quality.deleteMany({ _id: { $in: old.map(({ _id }) => _id) } }, DURABLE)).deletedCount
  }
  return gone
}

const bodies = <A>(documents: ReadonlyArray<QualityDocument>): ReadonlyArray<A> =>
  documents.map(({ body }) => JSON.parse(body ?? "null") as A)

export const layer: Layer.Layer<Quality, never, MongoClient> = Layer.effect(
  Quality,
  Effect.map(MongoClient, ({ collections, run, runLong }) =>
    make({
      put: (trial) => Effect.asVoid(run(during("put"), () => put(collections, trial))),
      trials: (query) =>
        run(during("trials"), async () => bodies<Trial>(await findTrials(collections, query).toArray())),
      count: (evidence) => run(during("count"), () => count(collections, evidence)),
      evidence: (...pair) =>
        run(during("evidence"), async () => bodies<Evidence>(await findEvidence(collections, ...pair).toArray())),
      standings: (query) =>
        run(during("standings"), async () => (await findStandings(collections, query).toArray()).map(standingOf)),
      settle: (standing) => run(during("settle"), () => settle(collections, standing)),
      forget: (what) => runLong(during("forget"), () => forget(collections, what))
    })
  )
)
