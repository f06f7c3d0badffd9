/**
 * Valid values for tests: namespaces, keys, jobs with their admissions, claims and endings, nodes. Every id is new, also between processes,
 * so suites may share one store, and every test may take a stretch of time of its own, later than those of the tests before it.
 */
import { randomBytes } from "node:crypto"
import { Effect } from "effect"
import { CreditLedger } from "../../src/layers/CreditLedger.ts"
import { Daemons } from "../../src/layers/Daemons.ts"
import type { Admission, Claim, Finish, Release } from "../../src/layers/JobStore.ts"
import { Namespaces } from "../../src/layers/Namespaces.ts"
import type { Registration } from "../../src/layers/NodeRegistry.ts"
import type { OutboxRow } from "../../src/layers/Outbox.ts"
import { Credits } from "../../src/schemas/Credits.ts"
import { ENVELOPE_VERSION, type Envelope } from "../../src/schemas/Envelope.ts"
import { DaemonId, EnvelopeId, JobId, KeyId, NamespaceId, NodeId } from "../../src/schemas/Ids.ts"
import { type Job, laneOf } from "../../src/schemas/Job.ts"
import type { JobRow } from "../../src/schemas/JobState.ts"
import { type ApiKey, defaultRules, type Namespace } from "../../src/schemas/Namespace.ts"
import type { NodeProfile, Restriction } from "../../src/schemas/NodeProfile.ts"

export { aFinishedRecord, anIncident, anOutput, aRecord } from "./recordFactories.ts"

/** A word that no other test has: nine characters that grow within a process, after eight that tell the process. */
const processWord = randomBytes(4).toString("hex")
let last = 0
export const unique = (): string => `${processWord}${(++last).toString(36).padStart(9, "0")}`

export const aJobId = (): JobId => JobId.make(`job_${unique()}`)
export const aNamespaceId = (): NamespaceId => NamespaceId.make(`ns_${unique()}`)
export const aKeyId = (): KeyId => KeyId.make(`key_${unique()}`)
export const aDaemonId = (): DaemonId => DaemonId.make(`daemon_${unique()}`)
export const anEnvelopeId = (): EnvelopeId => EnvelopeId.make(`msg_${unique()}`)
export const aNodeId = (): NodeId => NodeId.make(`0x${randomBytes(20).toString("hex")}`)

export const SECOND = 1_000
export const MINUTE = 60 * SECOND
export const DAY = 1_440 * MINUTE

/** The first instant of a day that no other test of this process uses. */
export const freshTime = (): number => Date.UTC(2026, 0, 1) + ++last * DAY

export const credits = (amount: bigint | number): Credits => Credits.make(BigInt(amount))

export const aNamespace = (over: Partial<Namespace> = {}): Namespace => ({
  id: aNamespaceId(),
  name: `name ${unique()}`,
  environment: "testnet",
  rules: defaultRules,
  createdAt: Date.UTC(2026, 0, 1),
  ...over
})

export const anApiKey = (over: Partial<ApiKey> = {}): ApiKey => ({
  id: aKeyId(),
  namespaceId: aNamespaceId(),
  label: "laptop",
  prefix: "rsk-abcdefgh",
  ratePerSecond: 10,
  createdAt: Date.UTC(2026, 0, 1),
  expiresAt: null,
  revokedAt: null,
  ...over
})

export const anEnvelope = (message: Envelope["message"], over: Partial<Envelope> = {}): Envelope => ({
  version: ENVELOPE_VERSION,
  id: anEnvelopeId(),
  message,
  replyTo: null,
  deadlineAt: null,
  attempt: 0,
  traceparent: null,
  ...over
})

export const anOutboxRow = (createdAt: number, over: Partial<OutboxRow> = {}): OutboxRow => {
  const envelope = anEnvelope({ _tag: "NodeRestricted", nodeId: aNodeId() })
  return { id: envelope.id, target: { _tag: "Topic", topic: "node" }, envelope, createdAt, ...over }
}

export const aJob = (over: Partial<Job> = {}): Job => {
  const acceptedAt = over.acceptedAt ?? freshTime()
  return {
    id: aJobId(),
    namespaceId: aNamespaceId(),
    keyId: aKeyId(),
    environment: "testnet",
    endpoint: "chat",
    mode: "stream",
    model: "tiny",
    priority: "normal",
    constraints: {},
    onNodeLoss: "continue",
    outputTokensMax: 100,
    promptTokensMax: 50,
    choices: 1,
    reserved: credits(1_000),
    quote: { version: 1, perPromptToken: credits(1), perOutputToken: credits(3), perRequest: credits(0) },
    failuresMax: 3,
    clientTag: null,
    configDigest: "digest",
    traceparent: null,
    acceptedAt,
    deadlineAt: acceptedAt + 3 * MINUTE,
    ...over
  }
}

/** Whose lane carries the message that a job waits. */
export const queuedEnvelope = (job: Job): Envelope =>
  anEnvelope(
    { _tag: "JobQueued", jobId: job.id, namespaceId: job.namespaceId },
    { deadlineAt: job.deadlineAt, traceparent: job.traceparent }
  )

export const anAdmission = (job: Job, over: Partial<Admission> = {}): Admission => ({
  job,
  envelope: queuedEnvelope(job),
  idempotency: null,
  openJobsMax: 1_000,
  ...over
})

/** Claims the row as it is now, for a new attempt on a node. */
export const aClaim = (row: JobRow, daemonId: DaemonId, over: Partial<Claim> = {}): Claim => ({
  jobId: row.job.id,
  daemonId,
  nodeId: aNodeId(),
  epochSeen: row.epoch,
  failures: row.failures,
  from: null,
  crashed: false,
  at: row.runAt + SECOND,
  ...over
})

/** Hands the row back as its owner. */
export const aRelease = (row: JobRow, over: Partial<Release> = {}): Release => ({
  jobId: row.job.id,
  daemonId: row.owner ?? aDaemonId(),
  epoch: row.epoch,
  runAt: row.runAt + 2 * SECOND,
  code: "drained",
  envelope: queuedEnvelope(row.job),
  at: row.runAt + 2 * SECOND,
  ...over
})

/** Ends the row as its owner, or as nobody when it waits. */
export const aFinish = (row: JobRow, over: Partial<Finish> = {}): Finish => ({
  jobId: row.job.id,
  daemonId: row.owner,
  epoch: row.epoch,
  state: row.owner === null ? "cancelled" : "completed",
  charge: credits(0),
  usage: { promptTokens: 10, outputTokens: 20 },
  nodeId: row.nodeId,
  code: null,
  envelope: anEnvelope({ _tag: "JobFinished", jobId: row.job.id, state: over.state ?? "completed" }),
  at: row.runAt + 3 * SECOND,
  ...over
})

/** The outbox row that the admission of this job promises. */
export const queuedRow = (job: Job, envelope: Envelope): OutboxRow => ({
  id: envelope.id,
  target: { _tag: "Lane", lane: laneOf(job) },
  envelope,
  createdAt: job.acceptedAt
})

export const aProfile = (over: Partial<NodeProfile> = {}): NodeProfile => ({
  name: "basement",
  agentVersion: "0.1.0",
  runtime: "simulated",
  subclouds: [],
  gpus: [{ name: "RTX 4090", vramMiB: 24_576 }],
  slots: 2,
  models: [{ name: "tiny", endpoints: ["chat"], canContinue: true, loaded: true }],
  ...over
})

export const aRegistration = (at: number, over: Partial<Registration> = {}): Registration => ({
  nodeId: aNodeId(),
  environment: "testnet",
  profile: aProfile(),
  at,
  ...over
})

export const aRestriction = (since: number, over: Partial<Restriction> = {}): Restriction => ({
  kind: "paused",
  reason: "asked for",
  by: "operator/control",
  since,
  until: null,
  ...over
})

/** A namespace that exists and holds this much. */
export const fundedNamespace = (amount: bigint | number, over: Partial<Namespace> = {}) =>
  Effect.gen(function* () {
    const namespace = yield* (yield* Namespaces).create(aNamespace(over))
    const grant = { namespaceId: namespace.id, amount: credits(amount), reference: `grant ${unique()}` }
    if (BigInt(amount) > 0n) yield* (yield* CreditLedger).grant({ ...grant, at: namespace.createdAt })
    return namespace
  })

/** A daemon that lives. On a back end with one owner every other one is dead from now on. */
export const livingDaemon = (at: number) =>
  Effect.gen(function* () {
    const id = aDaemonId()
    yield* (yield* Daemons).join(id, at)
    return id
  })

/** A job that was placed once and completed, as nobody owns it any more. */
export const endedRow = (over: Partial<JobRow> = {}): JobRow => ({
  job: aJob(),
  state: "completed",
  owner: null,
  epoch: 1,
  attempt: 1,
  failures: 0,
  crashes: 0,
  nodeId: null,
  runAt: 0,
  usage: { promptTokens: 7, outputTokens: 3 },
  charged: credits(16),
  errorCode: null,
  finishedAt: 2,
  ...over
})
