/** The typed log, one document an entry, in order of arrival within one instant: the ids of one process grow. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type { Filter } from "mongodb"
import type { LogEntry } from "../../schemas/JobRecord.ts"
import * as Batcher from "../Batcher.ts"
import type { Scope } from "../JobRecords.ts"
import * as Logs from "../Logs.ts"
import type { LogDocument } from "./Collections.ts"
import { MongoClient } from "./MongoClient.ts"

const during = (method: keyof Logs.Driver) => ({ of: "Logs", method })

const GROUPING = { batchMax: 128, atOnce: 1, waitingMax: 32_768 }

const documentOf = (entry: LogEntry): LogDocument => ({
  namespaceId: entry.namespaceId,
  type: entry.type,
  at: entry.at,
  jobId: entry.jobId,
  body: JSON.stringify(entry),
  segmentId: null
})

export const entryOf = ({ body }: Pick<LogDocument, "body">): LogEntry => JSON.parse(body) as LogEntry

/** Half-open over an instant; undefined when everything is asked for. */
export const within = (from: number | undefined, to: number | undefined) =>
  from === undefined && to === undefined
    ? undefined
    : { ...(from === undefined ? {} : { $gte: from }), ...(to === undefined ? {} : { $lt: to }) }

const filterOf = (scope: Scope, { type, jobId, from, to }: Logs.LogQuery): Filter<LogDocument> => {
  const at = within(from, to)
  return {
    ...(scope._tag === "Namespace" ? { namespaceId: scope.namespaceId } : {}),
    ...(type === undefined ? {} : { type }),
    ...(jobId === undefined ? {} : { jobId }),
    ...(at === undefined ? {} : { at })
  }
}

export const layer: Layer.Layer<Logs.Logs, never, MongoClient> = Layer.effect(
  Logs.Logs,
  Effect.gen(function* () {
    const { run, collections } = yield* MongoClient
    return Logs.make({
      append: yield* Batcher.make({
        of: "Logs",
        during: "append",
        ...GROUPING,
        run: (calls: ReadonlyArray<ReadonlyArray<LogEntry>>) =>
          run(during("append"), async () => {
            await collections.logs.insertMany(calls.flat().map(documentOf), { ordered: false })
            return calls.map(() => Exit.void)
          })
      }),
      query: (scope, query) =>
        query.limit <= 0
          ? Effect.succeed([])
          : run(during("query"), async () => {
              const found = collections.logs.find(filterOf(scope, query), { projection: { body: 1 } })
              return (await found.sort({ at: 1, _id: 1 }).limit(query.limit).toArray()).map(entryOf)
            })
    })
  })
)
