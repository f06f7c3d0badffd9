/** The document of a job as it opens, before anything happened to it. */
import { randomBytes } from "node:crypto"
import * as Effect from "effect/Effect"
import { waitOut } from "../layers/Outage.ts"
import { WITHDRAWN } from "../layers/JobStore.ts"
import type { Job } from "../schemas/Job.ts"
import { type JobRecord, RECORD_VERSION } from "../schemas/JobRecord.ts"
import { isTerminal } from "../schemas/JobState.ts"
import type { RowsWordHouse } from "./RowsWord.ts"

/** What the job itself does not say. */
export type Opening = Pick<JobRecord, "version" | "service" | "errorCode" | "workflow"> &
  Pick<JobRecord["input"], "requestedModel" | "request">

export const openRecord = (job: Job, opening: Opening): JobRecord => ({
  jobId: job.id,
  version: opening.version,
  service: opening.service,
  environment: job.environment,
  namespaceId: job.namespaceId,
  keyId: job.keyId,
  clientTag: job.clientTag,
  priority: job.priority,
  constraints: job.constraints,
  state: "queued",
  errorCode: opening.errorCode,
  createdAt: job.acceptedAt,
  finishedAt: null,
  input: {
    endpoint: job.endpoint,
    mode: job.mode,
    model: job.model,
    requestedModel: opening.requestedModel,
    request: opening.request
  },
  routing: { nodeId: null, assignedAt: null, attempts: [], fallbacks: [], decisions: [] },
  output: null,
  evaluation: { failure: false, failures: [], lowConfidence: null, moderation: [] },
  system: {
    queueMs: null,
    dispatchMs: null,
    firstTokenMs: null,
    totalMs: null,
    retries: 0,
    gpu: null,
    configDigest: job.configDigest
  },
  cost: null,
  workflow: opening.workflow,
  completeness: "open",
  truncatedReason: null,
  moments: [],
  held: false,
  salt: randomBytes(32).toString("hex")
})

/** The document of a job whose own never came: its submission died between the two stores. Nothing of the request is known. */
export const withdrawnRecord = (job: Job): JobRecord =>
  openRecord(job, {
    version: RECORD_VERSION,
    service: "network",
    errorCode: WITHDRAWN,
    requestedModel: job.model,
    request: null,
    workflow: null
  })

/**
 * What stands of a job whose document never came, so that whoever submitted it was told that it is not accepted. It may still come: the first
 * document that is there decides, for every reader, and it may be the one that withdraws the job. Null when the job is over: then none is owed.
 */
export const withdraw = ({ records, store }: RowsWordHouse, job: Job): Effect.Effect<JobRecord | null> =>
  Effect.gen(function* () {
    const row = yield* waitOut(store.get(job.id))
    if (row === null || isTerminal(row.state)) return null
    yield* waitOut(records.open(withdrawnRecord(job)))
    return yield* waitOut(records.get({ _tag: "Operator", by: "the job's actor" }, job.id))
  })
