/** The pieces of each job, in heads and segments (`TraceStore.ts`). Appends of many jobs leave together. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Traces from "../Traces.ts"
import * as MongoBatch from "./MongoBatch.ts"
import { MongoClient } from "./MongoClient.ts"
import { appendAll, fence, readPieces } from "./TraceStore.ts"

const during = (method: keyof Traces.Driver) => ({ of: "Traces", method })

const jobOf = ({ jobId }: Traces.TraceBatch) => jobId

export const layerWith = (options: { readonly grouping?: MongoBatch.Grouping }) =>
  Layer.effect(
    Traces.Traces,
    Effect.gen(function* () {
      const client = yield* MongoClient
      const { run, runLong, collections } = client
      const append = yield* MongoBatch.make<Traces.TraceBatch, boolean>(
        client,
        {
          during: during("append"),
          jobOf,
          together: (batches) => MongoBatch.inRounds(batches, jobOf, (round) => appendAll(client, round))
        },
        options.grouping
      )
      return Traces.make({
        fence: (jobId, epoch) => runLong(during("fence"), () => fence(client, jobId, epoch)),
        append,
        read: (scope, jobId, afterSeq, limit) =>
          Effect.gen(function* () {
            if (limit <= 0) return []
            if (scope._tag === "Namespace") {
              const own = { _id: { $eq: jobId }, namespaceId: { $eq: scope.namespaceId } }
              const found = yield* run(during("read"), () => collections.jobs.findOne(own, { projection: { _id: 1 } }))
              if (found === null) return []
            }
            return yield* runLong(during("read"), () => readPieces(client, jobId, Math.max(afterSeq, 0), limit))
          })
      })
    })
  )

export const layer: Layer.Layer<Traces.Traces, never, MongoClient> = layerWith({})
