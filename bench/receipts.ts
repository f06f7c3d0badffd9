/**
 * What receipts cost, off the road of the jobs: how many a sweeper makes in a second over the embedded stores, beside the one write of each record that
 * is in it; how many a reader checks, beside the signatures that are in that; and how long the tree of a large hour takes, beside hashing its leaves once.
 */
import { generateKeyPairSync, randomBytes, sign, verify } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer, Redacted } from "effect"
import { ReceiptDesk } from "../src/actors/ReceiptDesk.ts"
import * as Backends from "../src/Backends.ts"
import { openRecord } from "../src/actors/OpenRecord.ts"
import { CreditLedger } from "../src/layers/CreditLedger.ts"
import { DaemonConfig } from "../src/layers/DaemonConfig.ts"
import { Daemons } from "../src/layers/Daemons.ts"
import { JobRecords } from "../src/layers/JobRecords.ts"
import { JobStore } from "../src/layers/JobStore.ts"
import { Namespaces } from "../src/layers/Namespaces.ts"
import { checkReceipt } from "../src/layers/ReceiptCheck.ts"
import { Receipts } from "../src/layers/Receipts.ts"
import { canonicalJson } from "../src/schemas/CanonicalJson.ts"
import { Credits } from "../src/schemas/Credits.ts"
import {
  freshDaemonId,
  freshJobId,
  freshNamespaceId,
  JobId,
  type DaemonId,
  type NamespaceId
} from "../src/schemas/Ids.ts"
import { leafHash, rootOver } from "../src/schemas/MerkleTree.ts"
import { defaultRules } from "../src/schemas/Namespace.ts"
import { type Line, millis, rate, times } from "./support/Line.ts"
import { AT, envelope, jobOf, nodeId } from "./support/SampleJob.ts"

const JOBS = 4_000
const PAGE = 256
const CHECKS = 2_000
const LEAVES = 1_000_000
const SCOPE = { _tag: "Operator", by: "bench" } as const

const finished = Effect.fnUntraced(function* (namespaceId: NamespaceId, daemonId: DaemonId) {
  const [store, records] = [yield* JobStore, yield* JobRecords]
  const job = jobOf(yield* freshJobId, namespaceId)
  const queued = yield* envelope({ _tag: "JobQueued", jobId: job.id, namespaceId })
  const { row } = yield* store.admit({ job, envelope: queued, idempotency: null, openJobsMax: JOBS + 1 })
  yield* store.claim({
    jobId: job.id,
    daemonId,
    nodeId,
    epochSeen: row.epoch,
    failures: 0,
    from: null,
    crashed: false,
    at: AT + 1
  })
  const done = yield* envelope({ _tag: "JobFinished", jobId: job.id, state: "completed" })
  yield* store.finish({
    jobId: job.id,
    daemonId,
    epoch: 1,
    state: "completed",
    charge: Credits.make(0n),
    usage: { promptTokens: 0, outputTokens: 0 },
    nodeId,
    code: null,
    envelope: done,
    at: AT + 2
  })
  const request = { model: job.model, messages: [{ role: "user", content: "one question of many" }] }
  const opening = {
    version: 1,
    service: "cloud",
    errorCode: null,
    requestedModel: job.model,
    request,
    workflow: null
  } as const
  const end = { state: "completed", completeness: "complete", finishedAt: AT + 2 } as const
  yield* records.open({ ...openRecord(job, opening), ...end })
  return { jobId: job.id, endedAt: AT + 2 }
})

const seconds = async (body: () => Promise<unknown>): Promise<number> => {
  const before = performance.now()
  await body()
  return (performance.now() - before) / 1000
}

const makeThem = Effect.gen(function* () {
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
  yield* (yield* CreditLedger).grant({ namespaceId, amount: Credits.make(10n ** 12n), reference: "bench", at: AT })
  yield* (yield* Daemons).join(daemonId, AT)
  const ended = yield* Effect.forEach(Array.from({ length: JOBS }), () => finished(namespaceId, daemonId), {
    concurrency: 64
  })
  const [desk, records] = [yield* ReceiptDesk, yield* JobRecords]
  const made = yield* Effect.promise(() =>
    seconds(async () => {
      for (let at = 0; at < JOBS; at += PAGE) await Effect.runPromise(desk.makeAll(ended.slice(at, at + PAGE), false))
    })
  )
  const write = ({ jobId }: { readonly jobId: JobId }) =>
    records.patch({ jobId, epoch: 1, patch: { held: false }, durable: true })
  const written = yield* Effect.promise(() =>
    seconds(() => Effect.runPromise(Effect.forEach(ended, write, { concurrency: 16, discard: true })))
  )
  const record = yield* records.get(SCOPE, ended[0]?.jobId ?? JobId.make("job_none"))
  const found = yield* (yield* Receipts).find(ended[0]?.jobId ?? JobId.make("job_none"))
  if (record?.receipt === undefined || found === null) throw new Error("no receipt was made")
  return { made, written, receipt: record.receipt }
})

const config = Layer.effect(
  DaemonConfig,
  Effect.map(freshDaemonId, (daemonId) =>
    DaemonConfig.of({
      daemonId,
      dataFolder: "",
      host: "127.0.0.1",
      port: 0,
      controlHost: "127.0.0.1",
      controlPort: 0,
      controlKey: Redacted.make("none"),
      trustedProxies: [],
      environment: "testnet",
      drainMs: 0,
      silenceMaxMs: null,
      lanePrefetch: 1
    })
  )
)

export const run = async (): Promise<Array<Line>> => {
  const folder = mkdtempSync(join(tmpdir(), "resultity-bench-"))
  const house = ReceiptDesk.layer.pipe(Layer.provideMerge(Layer.mergeAll(Backends.embedded(folder), config)))
  const { made, written, receipt } = await Effect.runPromise(
    Effect.scoped(Effect.provide(makeThem, house)) as never as Effect.Effect<Effect.Success<typeof makeThem>>
  )
  rmSync(folder, { recursive: true, force: true })

  const bytes = Buffer.from(`${canonicalJson({ ...receipt, inclusion: null })}\n`)
  const checked = await seconds(async () => {
    for (let n = 0; n < CHECKS; n++)
      if (checkReceipt(bytes, []).findings.some(({ holds }) => !holds)) throw new Error("broken")
  })
  const { privateKey, publicKey } = generateKeyPairSync("ed25519")
  const signature = sign(null, bytes, privateKey)
  const verified = await seconds(async () => {
    for (let n = 0; n < CHECKS; n++) verify(null, bytes, publicKey, signature)
  })

  const hashes = Array.from({ length: LEAVES }, () => randomBytes(32).toString("hex"))
  let leaves: ReadonlyArray<string> = []
  const hashed = await seconds(async () => void (leaves = hashes.map(leafHash)))
  const rooted = await seconds(async () => void rootOver(leaves))
  return [
    {
      what: "receipts made and kept, embedded",
      value: rate(JOBS / made),
      against: `${rate(JOBS / written)} one write of each record`,
      ratio: times(written / made)
    },
    {
      what: "receipts checked by a reader",
      value: rate(CHECKS / checked),
      against: `${rate(CHECKS / verified)} Ed25519 alone`,
      ratio: times(verified / checked)
    },
    { what: "size of a receipt", value: `${bytes.byteLength} B`, against: "-" },
    {
      what: `root over ${LEAVES.toLocaleString("en")} receipts`,
      value: millis(rooted * 1000),
      against: `${millis(hashed * 1000)} hashing the leaves`,
      ratio: times(rooted / hashed)
    }
  ]
}
