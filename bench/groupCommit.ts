/**
 * What the group commit of the embedded store is worth: the same jobs through admit, claim and finish, durable, 64 at a time, once with one
 * transaction for all that arrive together and once with one transaction each.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer } from "effect"
import { CreditLedger } from "../src/layers/CreditLedger.ts"
import { Daemons } from "../src/layers/Daemons.ts"
import { JobStore } from "../src/layers/JobStore.ts"
import { Namespaces } from "../src/layers/Namespaces.ts"
import * as SqliteClient from "../src/layers/sqlite/SqliteClient.ts"
import * as SqliteState from "../src/layers/sqlite/SqliteState.ts"
import { Credits, CREDITS_MAX } from "../src/schemas/Credits.ts"
import { type DaemonId, freshDaemonId, freshJobId, freshNamespaceId, type NamespaceId } from "../src/schemas/Ids.ts"
import { defaultRules } from "../src/schemas/Namespace.ts"
import { type Line, rate, times } from "./support/Line.ts"
import { AT, envelope, jobOf, nodeId } from "./support/SampleJob.ts"

const CONCURRENCY = 64
const JOBS_GROUPED = 4_000
const JOBS_SINGLE = 800
const OPERATIONS_PER_JOB = 3

const oneJob = Effect.fnUntraced(function* (namespaceId: NamespaceId, daemonId: DaemonId) {
  const store = yield* JobStore
  const jobId = yield* freshJobId
  const job = jobOf(jobId, namespaceId)
  const queued = yield* envelope({ _tag: "JobQueued", jobId, namespaceId })
  yield* store.admit({ job, envelope: queued, idempotency: null, openJobsMax: 100_000 })
  yield* store.claim({ jobId, daemonId, nodeId, epochSeen: 0, failures: 0, from: null, crashed: false, at: AT + 5 })
  const finished = yield* envelope({ _tag: "JobFinished", jobId, state: "completed" })
  const outcome = { state: "completed", charge: Credits.make(1_000n), code: null, nodeId } as const
  const usage = { promptTokens: 100, outputTokens: 300 }
  const done = yield* store.finish({ jobId, daemonId, epoch: 1, ...outcome, usage, envelope: finished, at: AT + 9 })
  if (done._tag !== "Done") return yield* Effect.die(new Error(`the job ended ${done._tag}`))
})

/** Operations a second. */
const throughput = (jobs: number) =>
  Effect.gen(function* () {
    const namespaceId = yield* freshNamespaceId
    const daemonId = yield* freshDaemonId
    const namespace = {
      id: namespaceId,
      name: "bench",
      environment: "testnet",
      rules: defaultRules,
      createdAt: AT
    } as const
    yield* (yield* Namespaces).create(namespace)
    yield* (yield* CreditLedger).grant({ namespaceId, amount: Credits.make(CREDITS_MAX), reference: "bench", at: AT })
    yield* (yield* Daemons).join(daemonId, AT)
    const each = () => oneJob(namespaceId, daemonId)
    yield* Effect.forEach(Array.from({ length: CONCURRENCY }), each, { concurrency: CONCURRENCY, discard: true })
    const started = performance.now()
    yield* Effect.forEach(Array.from({ length: jobs }), each, { concurrency: CONCURRENCY, discard: true })
    return (jobs * OPERATIONS_PER_JOB * 1000) / (performance.now() - started)
  })

const measure = async (jobs: number, batchMax?: number): Promise<number> => {
  const folder = mkdtempSync(join(tmpdir(), "resultity-bench-"))
  const client = SqliteClient.layer({ path: join(folder, "data.db"), ...(batchMax === undefined ? {} : { batchMax }) })
  try {
    return await Effect.runPromise(throughput(jobs).pipe(Effect.provide(Layer.provide(SqliteState.layer, client))))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Durable operations a second in groups. */
export const commits = (): Promise<number> => measure(JOBS_GROUPED)

export const run = async (): Promise<Array<Line>> => {
  const single = await measure(JOBS_SINGLE, 1)
  const grouped = await commits()
  return [
    {
      what: `durable admit, claim and finish, mixed, ${CONCURRENCY} at a time`,
      value: rate(grouped),
      against: `${rate(single)} one by one`,
      ratio: times(grouped / single)
    }
  ]
}

if (import.meta.main) console.table(await run())
