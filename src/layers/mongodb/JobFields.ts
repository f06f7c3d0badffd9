/** A job's record as fields of a document and back. A patch touches just the fields of what it names. What comes back is trusted to be what went in. */
import { Long } from "mongodb"
import type { JobRecord } from "../../schemas/JobRecord.ts"
import type { NodeProof } from "../../schemas/NodeProof.ts"
import type { Receipt } from "../../schemas/Receipt.ts"
import type { RecordPatch } from "../JobRecords.ts"
import type { JobDocument } from "./Collections.ts"
import { readOrNull, storedOrNull, storedText } from "./StoredText.ts"

/** What stands in a document of a record, as opposed to what guards it. */
export type Fields = {
  -readonly [
    Field in keyof Omit<
      JobDocument,
      "_id" | "files" | "epoch" | "writer" | "rev" | "segmentId" | "logIds" | "leavesAs" | "stripped" | "tombstone"
    >
  ]?: JobDocument[Field]
}

type Encoders = { readonly [Field in keyof Required<RecordPatch>]: (value: JobRecord[Field]) => Fields }

const orNull = (value: unknown): string | null => (value === null ? null : JSON.stringify(value))

const ENCODERS: Encoders = {
  clientTag: (tag) => ({ clientTag: storedOrNull(tag) }),
  priority: (priority) => ({ priority }),
  constraints: (constraints) => ({ constraints: JSON.stringify(constraints) }),
  state: (state) => ({ state }),
  errorCode: (code) => ({ errorCode: storedOrNull(code) }),
  finishedAt: (finishedAt) => ({ finishedAt }),
  input: (input) => ({
    endpoint: input.endpoint,
    mode: input.mode,
    model: storedText(input.model),
    requestedModel: storedText(input.requestedModel),
    input: JSON.stringify(input)
  }),
  routing: (routing) => ({
    nodeId: routing.nodeId,
    assignedAt: routing.assignedAt,
    attempts: routing.attempts.length,
    routing: JSON.stringify(routing)
  }),
  output: (output) => ({
    outputKind: output?.kind ?? null,
    promptTokens: output?.tokens.prompt ?? 0,
    outputTokens: output?.tokens.completion ?? 0,
    output: orNull(output)
  }),
  evaluation: (evaluation) => ({
    failure: evaluation.failure,
    feedbackAt: evaluation.feedback?.at ?? null,
    feedbackScore: evaluation.feedback?.score ?? null,
    evaluation: JSON.stringify(evaluation)
  }),
  system: (system) => ({
    queueMs: system.queueMs,
    dispatchMs: system.dispatchMs,
    firstTokenMs: system.firstTokenMs,
    totalMs: system.totalMs,
    retries: system.retries,
    system: JSON.stringify(system)
  }),
  cost: (cost) => ({ cost: cost === null ? null : Long.fromBigInt(cost) }),
  workflow: (workflow) => ({ workflow: orNull(workflow) }),
  completeness: (completeness) => ({ completeness }),
  truncatedReason: (reason) => ({ truncatedReason: storedOrNull(reason) }),
  moments: (moments) => ({ moments: JSON.stringify(moments) }),
  held: (held) => ({ held }),
  salt: (salt) => (salt === undefined ? {} : { salt }),
  nodeProof: (proof) => (proof === undefined ? {} : { nodeProof: JSON.stringify(proof) }),
  receipt: (receipt) => (receipt === undefined ? {} : { receipt: JSON.stringify(receipt) })
}

const fieldsFor = <Field extends keyof Encoders>(field: Field, patch: RecordPatch): Fields => {
  const value: RecordPatch[Field] = patch[field]
  return value === undefined ? {} : ENCODERS[field](value as JobRecord[Field])
}

export const patchFields = (patch: RecordPatch): Fields =>
  Object.assign({}, ...(Object.keys(ENCODERS) as ReadonlyArray<keyof Encoders>).map((field) => fieldsFor(field, patch)))

/** Without its files, which are made later. */
export const documentOf = (record: JobRecord): JobDocument => ({
  ...(patchFields(record) as Required<Fields>),
  _id: record.jobId,
  namespaceId: record.namespaceId,
  keyId: record.keyId,
  version: record.version,
  service: record.service,
  environment: record.environment,
  createdAt: record.createdAt,
  files: {},
  epoch: 0,
  writer: null,
  rev: 0,
  segmentId: null,
  logIds: null,
  leavesAs: null,
  stripped: null,
  tombstone: null
})

/** What this house wrote as JSON. */
const json = <A>(text: string | null): A => JSON.parse(text ?? "null") as A

export const recordOf = (stored: JobDocument): JobRecord => ({
  jobId: stored._id as JobRecord["jobId"],
  version: stored.version,
  service: stored.service as JobRecord["service"],
  environment: stored.environment as JobRecord["environment"],
  namespaceId: stored.namespaceId as JobRecord["namespaceId"],
  keyId: stored.keyId as JobRecord["keyId"],
  clientTag: readOrNull(stored.clientTag),
  priority: stored.priority as JobRecord["priority"],
  constraints: json(stored.constraints),
  state: stored.state as JobRecord["state"],
  errorCode: readOrNull(stored.errorCode),
  createdAt: stored.createdAt,
  finishedAt: stored.finishedAt,
  input: json(stored.input),
  routing: json(stored.routing),
  output: json(stored.output),
  evaluation: json(stored.evaluation),
  system: json(stored.system),
  cost: costOf(stored),
  workflow: json(stored.workflow),
  completeness: stored.completeness as JobRecord["completeness"],
  truncatedReason: readOrNull(stored.truncatedReason),
  moments: json(stored.moments),
  held: stored.held,
  ...(typeof stored.tombstone === "string"
    ? { tombstone: json<JobRecord["tombstone"]>(stored.tombstone) as never }
    : {}),
  ...(stored.salt === undefined ? {} : { salt: stored.salt }),
  ...(stored.nodeProof === undefined ? {} : { nodeProof: json<NodeProof | null>(stored.nodeProof) }),
  ...(stored.receipt === undefined ? {} : { receipt: json<Receipt>(stored.receipt) })
})

export const costOf = ({ cost }: Pick<JobDocument, "cost">): JobRecord["cost"] =>
  cost === null ? null : ((typeof cost === "bigint" ? cost : cost.toBigInt()) as NonNullable<JobRecord["cost"]>)
