/**
 * The one document of a job: input, routing, output, evaluation, system. It grows while the job lives and is
 * the only place besides the traces where prompt and answer stand. `completeness` never lies: `truncated` says why.
 */
import * as Schema from "effect/Schema"
import { CreditsFromString } from "./Credits.ts"
import { JobId, KeyId, NamespaceId, NodeId } from "./Ids.ts"
import { Constraints, Endpoint, Environment, Mode, Priority } from "./Job.ts"
import { JobMoment } from "./JobMoment.ts"
import { AttemptState, JobState } from "./JobState.ts"
import { Decision, Gpu } from "./NodeProfile.ts"
import { Tombstone } from "./Tombstone.ts"
import { Hex } from "./Hex.ts"
import { NodeProof } from "./NodeProof.ts"
import { Receipt } from "./Receipt.ts"
import { FinishReason } from "./TokenEvent.ts"

/** Grows when the document's shape changes; archives carry it. */
export const RECORD_VERSION = 2

export const AttemptRecord = Schema.Struct({
  attempt: Schema.Int,
  epoch: Schema.Int,
  nodeId: NodeId,
  state: AttemptState,
  leasedAt: Schema.Int,
  assignedAt: Schema.NullOr(Schema.Int),
  firstTokenAt: Schema.NullOr(Schema.Int),
  endedAt: Schema.NullOr(Schema.Int),
  cause: Schema.NullOr(Schema.String),
  /** The first piece of this attempt and how many it brought. */
  firstSeq: Schema.Int,
  tokens: Schema.Int
})
export type AttemptRecord = typeof AttemptRecord.Type

export const Fallback = Schema.Struct({
  from: NodeId,
  to: NodeId,
  reason: Schema.String,
  attempt: Schema.Int,
  at: Schema.Int
})

export const Routing = Schema.Struct({
  nodeId: Schema.NullOr(NodeId),
  assignedAt: Schema.NullOr(Schema.Int),
  attempts: Schema.Array(AttemptRecord),
  fallbacks: Schema.Array(Fallback),
  decisions: Schema.Array(Decision)
})
export type Routing = typeof Routing.Type

export const OutputChoice = Schema.Struct({
  choice: Schema.Int,
  text: Schema.String,
  /** Joined deltas of other fields (tool_calls, reasoning_content, embedding). */
  extra: Schema.optionalKey(Schema.Record(Schema.String, Schema.Json)),
  finish: Schema.NullOr(FinishReason)
})
export type OutputChoice = typeof OutputChoice.Type

export const Output = Schema.Struct({
  kind: Schema.Literals(["text", "image", "audio", "vector"]),
  choices: Schema.Array(OutputChoice),
  tokens: Schema.Struct({ prompt: Schema.Int, completion: Schema.Int, total: Schema.Int }),
  latencyMs: Schema.Int,
  /** SHA-256 over the canonical JSON of `choices`. */
  sha256: Schema.String
})
export type Output = typeof Output.Type

/** What whoever asked thinks of the answer. */
export const Feedback = Schema.Struct({
  /** 1 (useless) to 5 (what was wanted). */
  score: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 5 })),
  label: Schema.NullOr(Schema.String.check(Schema.isPattern(/^[a-z][a-z0-9_]{0,63}$/))),
  comment: Schema.NullOr(Schema.String.check(Schema.isMaxLength(2000))),
  at: Schema.Int
})
export type Feedback = typeof Feedback.Type

export const Evaluation = Schema.Struct({
  failure: Schema.Boolean,
  failures: Schema.Array(Schema.Struct({ attempt: Schema.Int, nodeId: Schema.NullOr(NodeId), code: Schema.String })),
  /** null: nobody can tell. */
  lowConfidence: Schema.NullOr(Schema.Boolean),
  moderation: Schema.Array(Schema.String),
  feedback: Schema.optionalKey(Feedback)
})
export type Evaluation = typeof Evaluation.Type

/** What a node said of its result, beside what was counted here. */
export const Claim = Schema.Struct({
  promptTokens: Schema.Int,
  outputTokens: Schema.Int,
  countedTokens: Schema.Int,
  /** Of the text in UTF-8: of one model they are as many a token at every node, however its runtime cuts them into pieces. */
  outputBytes: Schema.Int
})
export type Claim = typeof Claim.Type

export const SystemMetrics = Schema.Struct({
  queueMs: Schema.NullOr(Schema.Int),
  dispatchMs: Schema.NullOr(Schema.Int),
  firstTokenMs: Schema.NullOr(Schema.Int),
  totalMs: Schema.NullOr(Schema.Int),
  retries: Schema.Int,
  gpu: Schema.NullOr(Gpu),
  configDigest: Schema.String,
  /** Absent: there was no result, or the record is from before this was kept. */
  claim: Schema.optionalKey(Claim),
  /** The beginning of the answer's SHA-256, to see the same one again. */
  answer: Schema.optionalKey(Schema.String)
})
export type SystemMetrics = typeof SystemMetrics.Type

export const Completeness = Schema.Literals(["open", "complete", "truncated"])

/** A pointer to what an agent workflow or a vector sync keeps about this job. */
export const WorkflowRef = Schema.Struct({
  kind: Schema.Literals(["agent_workflow", "vector_sync"]),
  ref: Schema.String.check(Schema.isMaxLength(256)),
  data: Schema.optionalKey(Schema.Json)
})
export type WorkflowRef = typeof WorkflowRef.Type

/** The area of the product that a job came from. */
export const Service = Schema.Literals(["network", "cloud", "space"])
export type Service = typeof Service.Type

export const JobRecord = Schema.Struct({
  jobId: JobId,
  version: Schema.Int,
  service: Service,
  environment: Environment,
  namespaceId: NamespaceId,
  keyId: KeyId,
  clientTag: Schema.NullOr(Schema.String),
  priority: Priority,
  constraints: Constraints,
  state: JobState,
  errorCode: Schema.NullOr(Schema.String),
  createdAt: Schema.Int,
  finishedAt: Schema.NullOr(Schema.Int),
  input: Schema.Struct({
    endpoint: Endpoint,
    mode: Mode,
    model: Schema.String,
    requestedModel: Schema.String,
    request: Schema.NullOr(Schema.Json)
  }),
  routing: Routing,
  output: Schema.NullOr(Output),
  evaluation: Evaluation,
  system: SystemMetrics,
  cost: Schema.NullOr(CreditsFromString),
  workflow: Schema.NullOr(WorkflowRef),
  completeness: Completeness,
  truncatedReason: Schema.NullOr(Schema.String),
  moments: Schema.Array(Schema.Struct({ at: Schema.Int, moment: JobMoment })),
  /** Legal hold: nothing of it is deleted while set, unless it stands in the archive under the same hold. */
  held: Schema.Boolean,
  /** Once the body has left; request, choices, workflow and pieces are gone then. */
  tombstone: Schema.optionalKey(Tombstone),
  /** Goes into the hashes of request and output; as secret as they are. Records of earlier programs have none. */
  salt: Schema.optionalKey(Hex(32)),
  /** The node's signature over the result; null when the job did not complete, or the signed result was lost. */
  nodeProof: Schema.optionalKey(Schema.NullOr(NodeProof)),
  /** The job's receipt, once it was made. */
  receipt: Schema.optionalKey(Receipt)
})
export type JobRecord = typeof JobRecord.Type

const NO_SALT = "0".repeat(64)

export const saltOf = ({ salt }: Pick<JobRecord, "salt">): string => salt ?? NO_SALT

export const LogType = Schema.Literals([
  "request",
  "routing",
  "execution",
  "evaluation",
  "system",
  "anomaly",
  "rejection",
  "warning",
  "audit"
])
export type LogType = typeof LogType.Type

/** One line of a namespace's log. `data` holds codes, ids and figures, never text of the request or the answer. */
export const LogEntry = Schema.Struct({
  namespaceId: NamespaceId,
  type: LogType,
  at: Schema.Int,
  jobId: Schema.NullOr(JobId),
  nodeId: Schema.NullOr(NodeId),
  code: Schema.String,
  data: Schema.Record(Schema.String, Schema.Json)
})
export type LogEntry = typeof LogEntry.Type
