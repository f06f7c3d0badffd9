/** What the tests of the embedded store share: a data folder for a while, the store in it, and jobs with everything that they need. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer } from "effect"
import { CreditLedger } from "../../../src/layers/CreditLedger.ts"
import { Daemons } from "../../../src/layers/Daemons.ts"
import type { Admission, Claim, Finish, Release } from "../../../src/layers/JobStore.ts"
import { Namespaces } from "../../../src/layers/Namespaces.ts"
import * as SqliteClient from "../../../src/layers/sqlite/SqliteClient.ts"
import * as SqliteState from "../../../src/layers/sqlite/SqliteState.ts"
import { Credits } from "../../../src/schemas/Credits.ts"
import type { Envelope } from "../../../src/schemas/Envelope.ts"
import { DaemonId, EnvelopeId, JobId, KeyId, NamespaceId, NodeId } from "../../../src/schemas/Ids.ts"
import type { Job } from "../../../src/schemas/Job.ts"
import { defaultRules } from "../../../src/schemas/Namespace.ts"

export const AT = 1_700_000_000_000
export const NAMESPACE = NamespaceId.make("ns_payer")
export const DAEMON = DaemonId.make("daemon_one")
export const NODE = NodeId.make(`0x${"ab".repeat(20)}`)

/** A data folder that is gone when the scope ends. */
export const dataFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "resultity-sqlite-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

export const store = (path: string, batchMax?: number) =>
  SqliteState.layer.pipe(
    Layer.provideMerge(SqliteClient.layer({ path, ...(batchMax === undefined ? {} : { batchMax }) }))
  )

/** A store in a folder of its own, so that every use of this layer starts empty. */
export const freshStore = Layer.unwrap(Effect.map(dataFolder, (folder) => Layer.fresh(store(join(folder, "data.db")))))

export const envelopeOf = (id: string, message: Envelope["message"]): Envelope => ({
  version: 1,
  id: EnvelopeId.make(`msg_${id}`),
  message,
  replyTo: null,
  deadlineAt: null,
  attempt: 0,
  traceparent: null
})

export const jobOf = (name: string, more: Partial<Job> = {}): Job => ({
  id: JobId.make(`job_${name}`),
  namespaceId: NAMESPACE,
  keyId: KeyId.make("key_one"),
  environment: "testnet",
  endpoint: "chat",
  mode: "stream",
  model: "llama-3.1",
  priority: "normal",
  constraints: {},
  onNodeLoss: "continue",
  outputTokensMax: 100,
  promptTokensMax: 50,
  choices: 1,
  reserved: Credits.make(1_000n),
  quote: {
    version: 1,
    perPromptToken: Credits.make(1n),
    perOutputToken: Credits.make(3n),
    perRequest: Credits.make(0n)
  },
  failuresMax: 3,
  clientTag: null,
  configDigest: "digest",
  traceparent: null,
  acceptedAt: AT,
  deadlineAt: AT + 60_000,
  ...more
})

export const admissionOf = (job: Job, more: Partial<Admission> = {}): Admission => ({
  job,
  envelope: envelopeOf(`queued-${job.id.slice(4)}`, { _tag: "JobQueued", jobId: job.id, namespaceId: job.namespaceId }),
  idempotency: null,
  openJobsMax: 1_000_000,
  ...more
})

export const claimOf = (job: Job, more: Partial<Claim> = {}): Claim => ({
  jobId: job.id,
  daemonId: DAEMON,
  nodeId: NODE,
  epochSeen: 0,
  failures: 0,
  from: null,
  crashed: false,
  at: AT + 10,
  ...more
})

export const releaseOf = (job: Job, more: Partial<Release> = {}): Release => ({
  jobId: job.id,
  daemonId: DAEMON,
  epoch: 1,
  runAt: AT + 500,
  code: "node_lost",
  envelope: envelopeOf(`again-${job.id.slice(4)}`, { _tag: "JobQueued", jobId: job.id, namespaceId: job.namespaceId }),
  at: AT + 20,
  ...more
})

export const finishOf = (job: Job, more: Partial<Finish> = {}): Finish => ({
  jobId: job.id,
  daemonId: DAEMON,
  epoch: 1,
  state: "completed",
  charge: Credits.make(400n),
  usage: { promptTokens: 10, outputTokens: 130 },
  nodeId: NODE,
  code: null,
  envelope: envelopeOf(`finished-${job.id.slice(4)}`, { _tag: "JobFinished", jobId: job.id, state: "completed" }),
  at: AT + 30,
  ...more
})

/** A namespace with credits and a living daemon. */
export const settle = (granted = 1_000_000n) =>
  Effect.gen(function* () {
    const namespace = {
      id: NAMESPACE,
      name: "payer",
      environment: "testnet",
      rules: defaultRules,
      createdAt: AT
    } as const
    yield* (yield* Namespaces).create(namespace)
    const amount = Credits.make(granted)
    yield* (yield* CreditLedger).grant({ namespaceId: NAMESPACE, amount, reference: "first", at: AT })
    yield* (yield* Daemons).join(DAEMON, AT)
  })
