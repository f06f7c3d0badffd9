/**
 * What stands in for a job's document that never came, long enough to fail the job and say so: its submission died between the two stores. It is
 * never written as it is.
 */
import type { JobRecord } from "../../schemas/JobRecord.ts"
import type { JobRow } from "../../schemas/JobState.ts"

export const missingRecord = ({ job, state }: JobRow): JobRecord => ({
  jobId: job.id,
  version: 0,
  service: "network",
  environment: job.environment,
  namespaceId: job.namespaceId,
  keyId: job.keyId,
  clientTag: job.clientTag,
  priority: job.priority,
  constraints: job.constraints,
  state,
  errorCode: null,
  createdAt: job.acceptedAt,
  finishedAt: null,
  input: { endpoint: job.endpoint, mode: job.mode, model: job.model, requestedModel: job.model, request: null },
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
  workflow: null,
  completeness: "open",
  truncatedReason: null,
  moments: [],
  held: false
})
