/** The pieces of each job, in heads and segments (`TraceStore.ts`). Appends of many jobs leave together. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Batcher from "../Batcher.ts"
import * as Traces from "../Traces.ts"
import { MongoClient } from "./MongoClient.ts"
import { appendAll, fence, readPieces } from "./TraceStore.ts"

const during = (method: keyof Traces.Driver) => ({ of: "Traces", method })

const GROUPING = { batchMax: 256, atOnce: 1, waitingMax: 32_768 }

export const layer: Layer.Layer<Traces.Traces, never, MongoClient> = Layer.effect(
  Traces.Traces,
  Effect.gen(function* () {
    const { run, collections } = yield* MongoClient
    /** Those of one job go one after the other. */
    const inRounds = async (batches: ReadonlyArray<Traces.TraceBatch>) => {
      const outcomes: Array<boolean> = []
      let rest = batches.map((batch, place) => ({ batch, place }))
      while (rest.length > 0) {
        const named = new Set<string>()
        const round = rest.filter(({ batch }) => !named.has(batch.jobId) && named.add(batch.jobId))
        const told = await appendAll(
          collections,
          round.map(({ batch }) => batch)
        )
        round.forEach(({ place }, at) => void (outcomes[place] = told[at] ?? false))
        rest = rest.filter((item) => !round.includes(item))
      }
      return outcomes.map((outcome) => Exit.succeed(outcome))
    }
    return Traces.make({
      fence: (jobId, epoch) => run(during("fence"), () => fence(collections, jobId, epoch)),
      append: yield* Batcher.make({
        of: "Traces",
        during: "append",
        ...GROUPING,
        run: (batches: ReadonlyArray<Traces.TraceBatch>) => run(during("append"), () => inRounds(batches))
      }),
      read: (scope, jobId, afterSeq, limit) =>
        limit <= 0
          ? Effect.succeed([])
          : run(during("read"), async () => {
              if (scope._tag === "Namespace") {
                const { namespaceId } = scope
                const own = await collections.jobs.findOne({ _id: jobId, namespaceId }, { projection: { _id: 1 } })
                if (own === null) return []
              }
              return readPieces(collections, jobId, Math.max(afterSeq, 0), limit)
            })
    })
  })
)
