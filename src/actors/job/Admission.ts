/**
 * The gate: prices a request, reserves its credits, writes its record and its row, and publishes it. After `admit` succeeded the job
 * will end in exactly one terminal state, whatever dies. The checks before it (size, key, rate, schema) are the listener's.
 */
import { createHash } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Schedule from "effect/Schedule"
import type * as Schema from "effect/Schema"
import type { Admission as NewJob } from "../../layers/JobStore.ts"
import { DaemonConfig } from "../../layers/DaemonConfig.ts"
import { JobRecords } from "../../layers/JobRecords.ts"
import { JobStore, WITHDRAWN } from "../../layers/JobStore.ts"
import * as Metrics from "../../layers/Metrics.ts"
import { Outage, waitOut } from "../../layers/Outage.ts"
import { Settings } from "../../layers/Settings.ts"
import { Transport } from "../../layers/Transport.ts"
import { quoteFor, reservation } from "../../policies/Pricing.ts"
import { promptTokensMax } from "../../policies/PromptTokens.ts"
import { canonicalJson } from "../../schemas/CanonicalJson.ts"
import { zero } from "../../schemas/Credits.ts"
import { freshEnvelope, type Envelope, type Message } from "../../schemas/Envelope.ts"
import { freshJobId, type DaemonId } from "../../schemas/Ids.ts"
import { daemonAddress } from "../../schemas/Address.ts"
import {
  laneName,
  laneOf,
  type Constraints,
  type Endpoint,
  type Job,
  type Mode,
  type OnNodeLoss,
  type Priority
} from "../../schemas/Job.ts"
import { RECORD_VERSION, type WorkflowRef } from "../../schemas/JobRecord.ts"
import { isTerminal, type JobRow } from "../../schemas/JobState.ts"
import type { Caller } from "../../schemas/Namespace.ts"
import type { SettingsVersion } from "../../schemas/RuntimeSettings.ts"
import { refuse, type Refusal } from "../../schemas/Refusal.ts"
import { FreshJobs } from "./FreshJobs.ts"
import { JobFeeds } from "./JobFeed.ts"
import { ModelGate } from "./ModelGate.ts"
import { openRecord } from "../OpenRecord.ts"
import { OverloadGate } from "./OverloadGate.ts"
import { Publisher } from "./Publisher.ts"
import { currentTraceparent, traced } from "../../layers/Traced.ts"

/** A decoded, valid request. Null where the client said nothing. */
export interface JobRequest {
  readonly endpoint: Endpoint
  readonly mode: Mode
  /** As the client named it; may be an alias. */
  readonly model: string
  /** What the client sent, unchanged. */
  readonly request: Schema.Json
  /** What the runtime is to be sent, without our extension; the model is filled in here. */
  readonly body: Schema.JsonObject
  readonly outputTokensMax: number | null
  /** `n`, or the number of embeddings inputs. */
  readonly choices: number
  readonly priority: Priority | null
  readonly constraints: Constraints
  readonly onNodeLoss: OnNodeLoss | null
  readonly deadlineMs: number | null
  readonly clientTag: string | null
  readonly workflow: WorkflowRef | null
  readonly idempotencyKey: string | null
  readonly traceparent: string | null
}

export interface Admitted {
  readonly row: JobRow
  /** False: the idempotency key named this job already; its stream is the answer. */
  readonly created: boolean
}

export class Admission extends Context.Service<
  Admission,
  {
    /** Refused: `model_not_found`, `forbidden`, `model_unavailable`, `insufficient_credits`, `overloaded`, `idempotency_mismatch`, `invalid_request`. */
    readonly admit: (caller: Caller, request: JobRequest) => Effect.Effect<Admitted, Refusal | Outage>
  }
>()("resultity/actors/job/Admission") {
  static readonly layer = Layer.effect(
    Admission,
    Effect.gen(function* () {
      const house = yield* makeHouse
      return Admission.of({ admit: traced("Admission.admit", (caller, request) => admit(house, caller, request)) })
    })
  )
}

/** A deadline that a client may ask for, at most. */
const DEADLINE_MAX_MS = 86_400_000

type House = Effect.Success<typeof makeHouse>

const makeHouse = Effect.gen(function* () {
  return {
    daemonId: (yield* DaemonConfig).daemonId,
    settings: yield* Settings,
    store: yield* JobStore,
    records: yield* JobRecords,
    transport: yield* Transport,
    publisher: yield* Publisher,
    fresh: yield* FreshJobs,
    feeds: yield* JobFeeds,
    models: yield* ModelGate,
    overload: yield* OverloadGate,
    lanesOpened: new Set<string>()
  }
})

const admit = Effect.fnUntraced(function* (house: House, caller: Caller, request: JobRequest) {
  const version = yield* house.settings.current
  const model = version.settings.aliases[request.model] ?? request.model
  const served = yield* Effect.result(checkServed(house, caller, request, model))
  if (served._tag === "Failure") {
    return yield* repeatOr(house, caller, request, yield* makeJob(version, caller, request, model), served.failure)
  }
  yield* checkRights(caller, request)
  yield* house.overload.check
  const job = yield* makeJob(version, caller, request, model)
  const envelope = yield* makeEnvelope(
    job,
    { _tag: "JobQueued", jobId: job.id, namespaceId: job.namespaceId },
    house.daemonId
  )
  const admitted = yield* store(house, caller, request, job, envelope)
  if (admitted.created) {
    yield* openLane(house, job)
    house.publisher.offer({ target: { _tag: "Lane", lane: laneOf(job) }, envelope })
    yield* Metric.update(Metric.withAttributes(Metrics.jobsAdmitted, { endpoint: job.endpoint }), 1)
  }
  return admitted
})

/** A job for one node does not hang on what others serve. */
const checkServed = ({ models }: House, { namespace }: Caller, { constraints, endpoint }: JobRequest, model: string) =>
  constraints.node === undefined ? models.check(namespace.environment, model, endpoint) : Effect.void

/** Nobody serves the model any more, but a key may repeat what was accepted while somebody did. A namespace with room for no job admits nothing. */
const repeatOr = Effect.fnUntraced(function* (
  house: House,
  caller: Caller,
  request: JobRequest,
  job: Job,
  refused: Refusal | Outage
) {
  const idempotency = yield* idempotencyOf(house, request, job)
  if (idempotency === null) return yield* Effect.fail(refused)
  const envelope = yield* makeEnvelope(
    job,
    { _tag: "JobQueued", jobId: job.id, namespaceId: job.namespaceId },
    house.daemonId
  )
  const known = yield* Effect.catchTag(
    house.store.admit({ job, envelope, idempotency, openJobsMax: 0 }),
    "Refusal",
    (refusal) => Effect.fail(refusal.code === "idempotency_mismatch" ? refusal : refused)
  )
  yield* waitForDocument(house, known.row)
  return known
})

const checkRights = ({ namespace }: Caller, { priority, constraints }: JobRequest): Effect.Effect<void, Refusal> => {
  if (priority === "test") {
    return Effect.fail(refuse("forbidden", "Priority test is for the network's own jobs.", { param: "priority" }))
  }
  if (priority === "urgent" && !namespace.rules.urgent) {
    const why = "This namespace may not ask for priority urgent. Ask its operator for the entitlement."
    return Effect.fail(refuse("forbidden", why, { param: "priority" }))
  }
  if (constraints.subcloud !== undefined) {
    const why = "This namespace is not authorised for that subcloud."
    return Effect.fail(refuse("forbidden", why, { param: "subcloud" }))
  }
  return Effect.void
}

const makeJob = Effect.fnUntraced(function* (
  { version, digest, settings }: SettingsVersion,
  caller: Caller,
  request: JobRequest,
  model: string
) {
  const { endpoint, mode } = request
  const each = request.outputTokensMax ?? settings.outputTokensDefault
  const outputTokensMax = endpoint === "embeddings" ? 0 : each * request.choices
  if (outputTokensMax > settings.outputTokensMax) {
    const why = `max_tokens times n is ${outputTokensMax}; at most ${settings.outputTokensMax} are served.`
    return yield* refuse("invalid_request", why, { param: "max_tokens" })
  }
  const quote = quoteFor(settings, version, model, endpoint)
  const prompt = promptTokensMax(endpoint, request.body)
  const now = yield* Clock.currentTimeMillis
  const deadlineMs = Math.min(request.deadlineMs ?? settings.deadlineMs[mode], DEADLINE_MAX_MS)
  const job: Job = {
    id: yield* freshJobId,
    namespaceId: caller.namespace.id,
    keyId: caller.keyId,
    environment: caller.namespace.environment,
    endpoint,
    mode,
    model,
    priority: request.priority ?? "normal",
    constraints: request.constraints,
    onNodeLoss: request.onNodeLoss ?? "continue",
    outputTokensMax,
    promptTokensMax: prompt,
    choices: request.choices,
    reserved: reservation(quote, prompt, outputTokensMax),
    quote,
    failuresMax: settings.failuresMax,
    clientTag: request.clientTag,
    configDigest: digest,
    traceparent: (yield* currentTraceparent) ?? request.traceparent,
    acceptedAt: now,
    deadlineAt: now + deadlineMs
  }
  return job
})

/** `replyTo` says where its readers are, most likely. */
const makeEnvelope = (job: Job, message: Message, daemonId: DaemonId): Effect.Effect<Envelope> =>
  freshEnvelope(message, {
    replyTo: daemonAddress(daemonId),
    deadlineAt: job.deadlineAt,
    traceparent: job.traceparent
  })

/**
 * Document and row side by side. A refused row takes its document with it; a row whose document did not come is failed and refunded before
 * the client hears of it, so that whoever tries again is not charged twice.
 */
const store = Effect.fnUntraced(function* (
  house: House,
  caller: Caller,
  request: JobRequest,
  job: Job,
  envelope: Envelope
) {
  const admission: NewJob = {
    job,
    envelope,
    idempotency: yield* idempotencyOf(house, request, job),
    openJobsMax: caller.namespace.rules.openJobsMax
  }
  const record = openRecord(job, {
    version: RECORD_VERSION,
    service: "cloud",
    errorCode: null,
    requestedModel: request.model,
    request: request.request,
    workflow: request.workflow
  })
  const [opened, admitted] = yield* Effect.all(
    [Effect.result(house.records.open(record)), Effect.result(house.store.admit(admission))],
    { concurrency: 2 }
  )
  // After an Outage the row may be there all the same: its document stays, and the sweep discards it if there is none.
  const isRefused = admitted._tag === "Failure" && admitted.failure._tag === "Refusal"
  if (isRefused || (admitted._tag === "Success" && admitted.success.row.job.id !== job.id)) {
    yield* Effect.catch(house.records.discard(job.id), ({ during }) =>
      Effect.logWarning("document without a row is left to the sweep", { jobId: job.id, during })
    )
  }
  if (admitted._tag === "Failure") return yield* Effect.fail(admitted.failure)
  const { created, row } = admitted.success
  if (opened._tag === "Failure" && created) {
    // Nobody else knows of a job without a key. Whoever repeats one may be told of an accepted job, if only the answer was lost: then it is for the
    // job's actor to settle which it is.
    if (admission.idempotency === null) yield* withdraw(house, row)
    return yield* Effect.fail(opened.failure)
  }
  if (!created) yield* waitForDocument(house, row)
  else if (opened._tag === "Success" && !opened.success) yield* assertDocument(house, row)
  if (created) {
    house.fresh.keep({ row, record })
    // Whoever waits for the answer is about to read.
    if (job.mode === "sync" || job.mode === "stream") house.feeds.open(job.id, job.namespaceId)
  }
  return admitted.success
})

const hasDocument = ({ records }: House, { id, namespaceId }: Job) =>
  Effect.map(
    records.get({ _tag: "Namespace", namespaceId }, id),
    (record) => record !== null && record.errorCode !== WITHDRAWN
  )

const ADMISSION = "Admission"
const DOCUMENT_LOOKS = Schedule.max([Schedule.spaced("50 millis"), Schedule.recurs(20)])

/**
 * What makes a job accepted: its document, by whichever call it came. As long as it is not there the job may still be withdrawn, and a document that
 * was there before this call's may be the one that says so.
 */
const assertDocument = (house: House, { job, state }: JobRow): Effect.Effect<void, Outage> =>
  Effect.gen(function* () {
    if (isTerminal(state) || (yield* hasDocument(house, job))) return
    return yield* new Outage({ of: ADMISSION, during: "admit", cause: "its document is not there" })
  })

/** Two requests with one key at once: the document of the first may be a moment behind its row. */
const waitForDocument = (house: House, row: JobRow) =>
  Effect.retry(assertDocument(house, row), { schedule: DOCUMENT_LOOKS, while: (missing) => missing.of === ADMISSION })

const withdraw = (house: House, { job, epoch }: JobRow) =>
  Effect.gen(function* () {
    const envelope = yield* makeEnvelope(job, { _tag: "JobFinished", jobId: job.id, state: "failed" }, house.daemonId)
    const at = yield* Clock.currentTimeMillis
    yield* waitOut(
      house.store.finish({
        jobId: job.id,
        daemonId: null,
        epoch,
        state: "failed",
        charge: zero,
        usage: { promptTokens: 0, outputTokens: 0 },
        nodeId: null,
        code: WITHDRAWN,
        envelope,
        at
      })
    )
  })

const idempotencyOf = ({ settings }: House, { idempotencyKey, request, endpoint }: JobRequest, { acceptedAt }: Job) =>
  Effect.map(settings.current, ({ settings: { idempotencyMs } }) =>
    idempotencyKey === null
      ? null
      : {
          key: idempotencyKey,
          bodyHash: createHash("sha256").update(canonicalJson({ endpoint, request })).digest("hex"),
          expiresAt: acceptedAt + idempotencyMs
        }
  )

/** Daemons consume a lane from when they hear of it; one that was not heard of is found by their next look. */
const openLane = (house: House, job: Job) =>
  Effect.suspend(() => {
    const lane = laneName(laneOf(job))
    if (house.lanesOpened.has(lane)) return Effect.void
    house.lanesOpened.add(lane)
    return makeEnvelope(job, { _tag: "LaneOpened", lane }, house.daemonId).pipe(
      Effect.flatMap((envelope) => house.transport.publish({ _tag: "Topic", topic: "lane" }, envelope)),
      Effect.catch((outage: Outage) => {
        house.lanesOpened.delete(lane)
        return Effect.logWarning("lane not announced", { lane, during: outage.during })
      })
    )
  })
