/** The document of a job as it opens, before anything happened to it. */
import { WITHDRAWN } from "../../layers/JobStore.ts"
import type { Job } from "../../schemas/Job.ts"
import { type JobRecord, RECORD_VERSION } from "../../schemas/JobRecord.ts"

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
  held: false
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
