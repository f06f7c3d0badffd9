/** A job's document as fields and back. A patch touches just the fields of what it names. What comes back is trusted to be what went in. */
import { Long } from "mongodb"
import type { JobRecord } from "../../schemas/JobRecord.ts"
import type { RecordPatch } from "../JobRecords.ts"
import type { JobDocument } from "./Collections.ts"

type Mutable = { -readonly [Field in keyof JobDocument]?: JobDocument[Field] }

/** As JSON text: lone surrogates and NUL are escaped there and would not survive as they are. */
export const freeText = (value: string | null): string | null => (value === null ? null : JSON.stringify(value))
const fromFreeText = (stored: string | null): string | null => (stored === null ? null : (JSON.parse(stored) as string))

type Fields = { readonly [Field in keyof Required<RecordPatch>]: (value: JobRecord[Field]) => Mutable }

const FIELDS: Fields = {
  clientTag: (tag) => ({ clientTag: freeText(tag) }),
  priority: (priority) => ({ priority }),
  constraints: (constraints) => ({ constraints: JSON.stringify(constraints) }),
  state: (state) => ({ state }),
  errorCode: (code) => ({ errorCode: freeText(code) }),
  finishedAt: (finishedAt) => ({ finishedAt }),
  input: (input) => ({
    endpoint: input.endpoint,
    mode: input.mode,
    model: JSON.stringify(input.model),
    input: JSON.stringify(input),
    inputFile: null
  }),
  routing: (routing) => ({ nodeId: routing.nodeId, routing: JSON.stringify(routing) }),
  output: (output) => ({
    promptTokens: output?.tokens.prompt ?? 0,
    outputTokens: output?.tokens.completion ?? 0,
    output: output === null ? null : JSON.stringify(output),
    outputFile: null
  }),
  evaluation: (evaluation) => ({ evaluation: JSON.stringify(evaluation) }),
  system: (system) => ({ totalMs: system.totalMs, system: JSON.stringify(system) }),
  cost: (cost) => ({ cost: cost === null ? null : Long.fromBigInt(cost) }),
  workflow: (workflow) => ({ workflow: workflow === null ? null : JSON.stringify(workflow) }),
  completeness: (completeness) => ({ completeness }),
  truncatedReason: (reason) => ({ truncatedReason: freeText(reason) }),
  moments: (moments) => ({ moments: JSON.stringify(moments) }),
  held: (held) => ({ held })
}

const fieldsFor = <Field extends keyof Fields>(field: Field, patch: RecordPatch): Mutable => {
  const value: RecordPatch[Field] = patch[field]
  return value === undefined ? {} : FIELDS[field](value as JobRecord[Field])
}

export const patchFields = (patch: RecordPatch): Mutable =>
  Object.assign({}, ...(Object.keys(FIELDS) as ReadonlyArray<keyof Fields>).map((field) => fieldsFor(field, patch)))

export const documentOf = (record: JobRecord): JobDocument => ({
  ...(patchFields(record) as JobDocument),
  _id: record.jobId,
  namespaceId: record.namespaceId,
  keyId: record.keyId,
  version: record.version,
  service: record.service,
  environment: record.environment,
  createdAt: record.createdAt,
  epoch: 0,
  segmentId: null,
  isMarked: false
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
  clientTag: fromFreeText(stored.clientTag),
  priority: stored.priority as JobRecord["priority"],
  constraints: json(stored.constraints),
  state: stored.state as JobRecord["state"],
  errorCode: fromFreeText(stored.errorCode),
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
  truncatedReason: fromFreeText(stored.truncatedReason),
  moments: json(stored.moments),
  held: stored.held
})

export const costOf = ({ cost }: Pick<JobDocument, "cost">): JobRecord["cost"] =>
  cost === null ? null : ((typeof cost === "bigint" ? cost : cost.toBigInt()) as NonNullable<JobRecord["cost"]>)
