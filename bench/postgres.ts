/**
 * What group commit is worth on PostgreSQL: admits, claims, finishes and reads of many callers at once, durable, on the server that
 * `POSTGRES_URL` names; once in batches, and once with a statement for each call on as many connections as the pool has.
 */
import { randomBytes } from "node:crypto"
import * as Driver from "@effect/sql-pg/PgClient"
import { Effect, Layer, Redacted } from "effect"
import { CreditLedger } from "../src/layers/CreditLedger.ts"
import { Daemons } from "../src/layers/Daemons.ts"
import { JobStore } from "../src/layers/JobStore.ts"
import { Namespaces } from "../src/layers/Namespaces.ts"
import { GROUPING, type Grouping } from "../src/layers/postgres/PgBatch.ts"
import * as PgClient from "../src/layers/postgres/PgClient.ts"
import * as PgCreditLedger from "../src/layers/postgres/PgCreditLedger.ts"
import * as PgDaemons from "../src/layers/postgres/PgDaemons.ts"
import * as PgJobStore from "../src/layers/postgres/PgJobStore.ts"
import * as PgNamespaces from "../src/layers/postgres/PgNamespaces.ts"
import { Credits, CREDITS_MAX } from "../src/schemas/Credits.ts"
import {
  type DaemonId,
  freshDaemonId,
  freshJobId,
  freshNamespaceId,
  type JobId,
  type NamespaceId
} from "../src/schemas/Ids.ts"
import { defaultRules } from "../src/schemas/Namespace.ts"
import { type Line, rate, times } from "./support/Line.ts"
import { AT, envelope, jobOf, nodeId } from "./support/SampleJob.ts"

const CALLERS = 256
const JOBS_GROUPED = 40_000
const JOBS_SINGLE = 6_000
const NAMESPACES = 8
const CONNECTIONS = 10
const SINGLE: Grouping = { batchMax: 1, atOnce: CONNECTIONS, waitingMax: GROUPING.waitingMax }

const admit = Effect.fnUntraced(function* (jobId: JobId, namespaceId: NamespaceId) {
  const message = yield* envelope({ _tag: "JobQueued", jobId, namespaceId })
  const idempotency = { key: jobId, bodyHash: "0".repeat(64), expiresAt: AT + 86_400_000 }
  const admission = { job: jobOf(jobId, namespaceId), envelope: message, idempotency, openJobsMax: 1_000_000 }
  const { created } = yield* (yield* JobStore).admit(admission)
  if (!created) return yield* Effect.die(new Error(`${jobId} was there`))
})

const claim = Effect.fnUntraced(function* (jobId: JobId, daemonId: DaemonId) {
  const call = { jobId, daemonId, nodeId, epochSeen: 0, failures: 0, from: null, crashed: false, at: AT + 5 }
  const { _tag } = yield* (yield* JobStore).claim(call)
  if (_tag !== "Claimed") return yield* Effect.die(new Error(`${jobId} was ${_tag}`))
})

const finish = Effect.fnUntraced(function* (jobId: JobId, daemonId: DaemonId) {
  const message = yield* envelope({ _tag: "JobFinished", jobId, state: "completed" })
  const outcome = { state: "completed", charge: Credits.make(1_000n), code: null, nodeId } as const
  const usage = { promptTokens: 100, outputTokens: 300 }
  const call = { jobId, daemonId, epoch: 1, ...outcome, usage, envelope: message, at: AT + 9 }
  const { _tag } = yield* (yield* JobStore).finish(call)
  if (_tag !== "Done") return yield* Effect.die(new Error(`${jobId} ended ${_tag}`))
})

const prepare = Effect.gen(function* () {
  const namespaceIds: Array<NamespaceId> = []
  for (let n = 0; n < NAMESPACES; n++) {
    const id = yield* freshNamespaceId
    namespaceIds.push(id)
    const namespace = { id, name: `bench ${n}`, environment: "testnet", rules: defaultRules, createdAt: AT } as const
    yield* (yield* Namespaces).create(namespace)
    yield* (yield* CreditLedger).grant({
      namespaceId: id,
      amount: Credits.make(CREDITS_MAX),
      reference: "bench",
      at: AT
    })
  }
  const daemonId = yield* freshDaemonId
  yield* (yield* Daemons).join(daemonId, AT)
  return { namespaceIds, daemonId }
})

/** Calls a second of each method. */
const rates = (jobs: number) =>
  Effect.gen(function* () {
    const { namespaceIds, daemonId } = yield* prepare
    const ids = yield* Effect.forEach(Array.from({ length: jobs }), () => freshJobId)
    const timed = <E, R>(call: (id: JobId, index: number) => Effect.Effect<unknown, E, R>) =>
      Effect.gen(function* () {
        const started = performance.now()
        yield* Effect.forEach(ids, call, { concurrency: CALLERS, discard: true })
        return (jobs * 1000) / (performance.now() - started)
      })
    return {
      admit: yield* timed((id, index) => admit(id, namespaceIds[index % NAMESPACES] as NamespaceId)),
      claim: yield* timed((id) => claim(id, daemonId)),
      get: yield* timed((id) => Effect.flatMap(JobStore, (store) => store.get(id))),
      finish: yield* timed((id) => finish(id, daemonId))
    }
  })

const measure = async (url: string, jobs: number, grouping: Grouping) => {
  const schema = `bench_${randomBytes(4).toString("hex")}`
  const client = PgClient.layer({ url: Redacted.make(url), schema, connectionsMax: CONNECTIONS })
  const contracts = Layer.mergeAll(
    PgJobStore.layerWith({ grouping }),
    PgCreditLedger.layer,
    PgDaemons.layer,
    PgNamespaces.layer
  )
  const drop = Effect.gen(function* () {
    yield* (yield* Driver.PgClient).unsafe(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
  }).pipe(Effect.provide(Driver.layer({ url: Redacted.make(url), maxConnections: 1 })))
  const measured = rates(jobs).pipe(Effect.provide(Layer.provide(contracts, client)))
  return Effect.runPromise(Effect.ensuring(measured, Effect.orDie(drop)))
}

export const run = async (): Promise<Array<Line>> => {
  const url = process.env["POSTGRES_URL"]
  if (url === undefined) {
    console.warn("skipped: the rates of PostgreSQL; set POSTGRES_URL to a PostgreSQL server")
    return []
  }
  const single = await measure(url, JOBS_SINGLE, SINGLE)
  const grouped = await measure(url, JOBS_GROUPED, GROUPING)
  return (["admit", "claim", "get", "finish"] as const).map((method) => ({
    what: `PostgreSQL ${method}, ${CALLERS} at a time`,
    value: rate(grouped[method]),
    against: `${rate(single[method])} one by one`,
    ratio: times(grouped[method] / single[method])
  }))
}

if (import.meta.main) console.table(await run())
