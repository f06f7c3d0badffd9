/**
 * What group commit is worth on MongoDB: opens, closing patches and appends of many callers at once, on the server that `MONGODB_URL` names; once in
 * bulks, and once with an operation for each call on as many connections as the pool has. Opens and patches are durable.
 */
import { randomBytes } from "node:crypto"
import { Effect, Layer, Redacted } from "effect"
import { openRecord } from "../src/actors/OpenRecord.ts"
import { JobRecords } from "../src/layers/JobRecords.ts"
import { GROUPING, type Grouping } from "../src/layers/mongodb/MongoBatch.ts"
import * as MongoClient from "../src/layers/mongodb/MongoClient.ts"
import * as MongoJobRecords from "../src/layers/mongodb/MongoJobRecords.ts"
import * as MongoTraces from "../src/layers/mongodb/MongoTraces.ts"
import { Traces } from "../src/layers/Traces.ts"
import { Credits } from "../src/schemas/Credits.ts"
import { freshJobId, type JobId, NamespaceId, NodeId } from "../src/schemas/Ids.ts"
import { type JobRecord, RECORD_VERSION } from "../src/schemas/JobRecord.ts"
import { type Line, rate, times } from "./support/Line.ts"
import { AT, jobOf } from "./support/SampleJob.ts"

const CALLERS = 256
const JOBS_GROUPED = 12_000
const JOBS_SINGLE = 3_000
const NAMESPACES = 8
const CONNECTIONS = 20
const SINGLE: Grouping = { ...GROUPING, batchMax: 1, lanes: CONNECTIONS }

const PROMPT = "Say something of a few hundred characters. ".repeat(8)

const recordOf = (jobId: JobId, index: number): JobRecord => {
  const job = jobOf(jobId, NamespaceId.make(`ns_bench${index % NAMESPACES}`))
  return openRecord(
    { ...job, acceptedAt: AT + index },
    {
      version: RECORD_VERSION,
      service: "network",
      errorCode: null,
      requestedModel: job.model,
      request: { messages: [{ role: "user", content: PROMPT }] },
      workflow: null
    }
  )
}

const ANSWER = "An answer of one thousand characters or so, as models like to give. ".repeat(15)

const close = Effect.fnUntraced(function* (jobId: JobId) {
  const { patch } = yield* JobRecords
  const told = yield* patch({
    jobId,
    epoch: 1,
    durable: true,
    patch: {
      state: "completed",
      completeness: "complete",
      finishedAt: AT + 9_000,
      cost: Credits.make(1_000n),
      routing: {
        nodeId: NodeId.make(`0x${"ab".repeat(20)}`),
        assignedAt: AT,
        attempts: [],
        fallbacks: [],
        decisions: []
      },
      output: {
        kind: "text",
        choices: [{ choice: 0, text: ANSWER, finish: "stop" }],
        tokens: { prompt: 100, completion: 300, total: 400 },
        latencyMs: 9_000,
        sha256: "0".repeat(64)
      }
    }
  })
  if (told !== "done") return yield* Effect.die(new Error(`${jobId} was ${told}`))
})

const piecesFrom = (first: number) =>
  Array.from({ length: 8 }, (_, at) => ({ seq: first + at, choice: 0, text: " word", offsetMs: 20 * at }))

const append = Effect.fnUntraced(function* (jobId: JobId, first: number) {
  const { append } = yield* Traces
  const isStored = yield* append({ jobId, epoch: 1, attempt: 1, events: piecesFrom(first) })
  if (!isStored) return yield* Effect.die(new Error(`${jobId} was fenced`))
})

/** Calls a second of each method. */
const rates = (jobs: number) =>
  Effect.gen(function* () {
    const ids = yield* Effect.forEach(Array.from({ length: jobs }), () => freshJobId)
    const timed = <E, R>(call: (id: JobId, index: number) => Effect.Effect<unknown, E, R>) =>
      Effect.gen(function* () {
        const started = performance.now()
        yield* Effect.forEach(ids, call, { concurrency: CALLERS, discard: true })
        return (jobs * 1000) / (performance.now() - started)
      })
    return {
      open: yield* timed((id, index) => Effect.flatMap(JobRecords, (records) => records.open(recordOf(id, index)))),
      append: yield* timed((id) => append(id, 1)),
      "append again": yield* timed((id) => append(id, 9)),
      patch: yield* timed(close),
      get: yield* timed((id) =>
        Effect.flatMap(JobRecords, (records) => records.get({ _tag: "Operator", by: "bench" }, id))
      )
    }
  })

const measure = (url: string, jobs: number, grouping: Grouping) => {
  const database = `bench_${randomBytes(4).toString("hex")}`
  const client = MongoClient.layer({ url: Redacted.make(url), database, connectionsMax: CONNECTIONS })
  const drop = Effect.flatMap(MongoClient.MongoClient, ({ db }) => Effect.promise(() => db.dropDatabase()))
  const contracts = Layer.mergeAll(MongoJobRecords.layerWith({ grouping }), MongoTraces.layerWith({ grouping }))
  return Effect.runPromise(
    Effect.ensuring(rates(jobs), drop).pipe(Effect.provide(Layer.provideMerge(contracts, client)))
  )
}

export const run = async (): Promise<Array<Line>> => {
  const url = process.env["MONGODB_URL"]
  if (url === undefined) {
    console.warn("skipped: the rates of MongoDB; set MONGODB_URL to a MongoDB-protocol server")
    return []
  }
  const single = await measure(url, JOBS_SINGLE, SINGLE)
  const grouped = await measure(url, JOBS_GROUPED, GROUPING)
  return (["open", "append", "append again", "patch", "get"] as const).map((method) => ({
    what: `MongoDB ${method}, ${CALLERS} at a time`,
    value: rate(grouped[method]),
    against: `${rate(single[method])} one by one`,
    ratio: times(grouped[method] / single[method])
  }))
}

if (import.meta.main) console.table(await run())
