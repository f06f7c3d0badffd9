/** Versions of evaluation sets, one document each. Its id names set and version, so a version is there once whoever writes it first. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { EvaluationSet, EvaluationSetId, EvaluationSetLine } from "../../schemas/Quality.ts"
import { EvaluationSets, lineOf, make, SETS_MAX } from "../EvaluationSets.ts"
import type { Collections, QualityDocument } from "./Collections.ts"
import * as MongoBatch from "./MongoBatch.ts"
import { DURABLE, MongoClient } from "./MongoClient.ts"

const during = (method: string) => ({ of: "EvaluationSets", method })

const setKey = (id: string, version: number) => `set/${id}/${version}`

export const NOTHING: Omit<QualityDocument, "_id" | "family" | "at"> = {
  nodeId: null,
  model: null,
  setId: null,
  kind: null,
  state: null,
  open: false,
  source: null,
  rev: 0,
  scoredRev: 0,
  pending: false,
  line: null,
  body: null
}

const documentOf = (set: EvaluationSet): QualityDocument => ({
  ...NOTHING,
  _id: setKey(set.id, set.version),
  family: "set",
  at: set.at,
  setId: set.id,
  rev: set.version,
  line: JSON.stringify(lineOf(set)),
  body: JSON.stringify(set)
})

const append = async ({ quality }: Collections, set: EvaluationSet): Promise<boolean> => {
  if (set.version > 1 && (await quality.findOne({ _id: setKey(set.id, set.version - 1) })) === null) return false
  return (await MongoBatch.bulk(quality, [{ insertOne: { document: documentOf(set) } }], DURABLE)) === 1
}

/** By the index of versions; sets are few, and each has few versions. */
const newest = async ({ quality }: Collections): Promise<ReadonlyArray<EvaluationSetLine>> => {
  const lines: Array<EvaluationSetLine> = []
  const cursor = quality
    .find({ family: "set", setId: { $gte: "" } }, { projection: { line: 1 } })
    .hint("by_version")
    .sort({ setId: 1, rev: -1 })
  for await (const { line } of cursor) {
    const next = JSON.parse(line ?? "null") as EvaluationSetLine
    if (lines.at(-1)?.id !== next.id) lines.push(next)
    if (lines.length > SETS_MAX) break
  }
  return lines.slice(0, SETS_MAX)
}

const versions = ({ quality }: Collections, id: EvaluationSetId, limit: number) =>
  quality
    .find({ family: "set", setId: { $eq: id } })
    .hint("by_version")
    .sort({ rev: -1 })
    .limit(limit)

const get = async (collections: Collections, id: EvaluationSetId, version: number | null) => {
  const [found] =
    version === null
      ? await versions(collections, id, 1).toArray()
      : [await collections.quality.findOne({ _id: setKey(id, version) })]
  return found?.body == null ? null : (JSON.parse(found.body) as EvaluationSet)
}

export const layer: Layer.Layer<EvaluationSets, never, MongoClient> = Layer.effect(
  EvaluationSets,
  Effect.map(MongoClient, ({ collections, run, runLong }) =>
    make({
      append: (set) => run(during("append"), () => append(collections, set)),
      list: runLong(during("list"), () => newest(collections)),
      get: (id, version) => run(during("get"), () => get(collections, id, version)),
      history: (id, limit) =>
        run(during("history"), async () =>
          (await versions(collections, id, limit).toArray()).map(
            ({ line }) => JSON.parse(line ?? "null") as EvaluationSetLine
          )
        )
    })
  )
)
