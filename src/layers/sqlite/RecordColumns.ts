/**
 * A job's document as columns and back. One entry a top-level field, so a patch touches only the columns of the fields it names and no
 * document is ever decoded to be changed. What comes back is trusted to be what went in; a column of the wrong type is a defect.
 */
import type { SQLInputValue, SQLOutputValue } from "node:sqlite"
import type { JobRecord } from "../../schemas/JobRecord.ts"
import type { NodeProof } from "../../schemas/NodeProof.ts"
import type { Receipt } from "../../schemas/Receipt.ts"
import type { RecordPatch } from "../JobRecords.ts"

export type Row = Readonly<Record<string, SQLOutputValue>>
/** The same by the order of the columns, as `Statements.cells` reads it. */
export type Cells = ReadonlyArray<SQLOutputValue>
export type Column = readonly [name: string, value: SQLInputValue]

/** As JSON text: NUL and lone surrogates are escaped there and would not survive as raw text. */
export const freeText = (value: string | null): string | null => (value === null ? null : JSON.stringify(value))

type Columns = { readonly [Field in keyof Required<RecordPatch>]: (value: JobRecord[Field]) => ReadonlyArray<Column> }

const COLUMNS: Columns = {
  clientTag: (tag) => [["client_tag", freeText(tag)]],
  priority: (priority) => [["priority", priority]],
  constraints: (constraints) => [["constraints", JSON.stringify(constraints)]],
  state: (state) => [["state", state]],
  errorCode: (code) => [["error_code", freeText(code)]],
  finishedAt: (at) => [["finished_at", at]],
  // The whole of input and output stands in its own table; here is only what is searched and counted.
  input: ({ endpoint, mode, model }) => [
    ["endpoint", endpoint],
    ["mode", mode],
    ["model", freeText(model)]
  ],
  routing: (routing) => [
    ["node_id", routing.nodeId],
    ["routing", JSON.stringify(routing)]
  ],
  output: (output) => [
    ["prompt_tokens", output?.tokens.prompt ?? 0],
    ["output_tokens", output?.tokens.completion ?? 0]
  ],
  evaluation: (evaluation) => [["evaluation", JSON.stringify(evaluation)]],
  system: (system) => [
    ["queue_ms", system.queueMs],
    ["first_token_ms", system.firstTokenMs],
    ["total_ms", system.totalMs],
    ["system", JSON.stringify(system)]
  ],
  cost: (cost) => [["cost", cost]],
  workflow: (workflow) => [["workflow", workflow === null ? null : JSON.stringify(workflow)]],
  completeness: (completeness) => [["completeness", completeness]],
  truncatedReason: (reason) => [["truncated_reason", freeText(reason)]],
  moments: (moments) => [["moments", JSON.stringify(moments)]],
  held: (held) => [["held", held ? 1 : 0]],
  salt: (salt) => [["salt", salt ?? null]],
  nodeProof: (proof) => [["node_proof", proof === undefined ? null : JSON.stringify(proof)]],
  receipt: (receipt) => [["receipt", receipt === undefined ? null : JSON.stringify(receipt)]]
}

const FIELDS = Object.keys(COLUMNS) as ReadonlyArray<keyof Columns>

const columnsOf = <Field extends keyof Columns>(field: Field, patch: RecordPatch): ReadonlyArray<Column> => {
  const value: RecordPatch[Field] = patch[field]
  return value === undefined ? [] : COLUMNS[field](value as JobRecord[Field])
}

/** In one order whatever the patch's own, so that equal patches share a prepared statement. */
export const patchColumns = (patch: RecordPatch): ReadonlyArray<Column> =>
  FIELDS.flatMap((field) => columnsOf(field, patch))

export const allColumns = (record: JobRecord): ReadonlyArray<Column> => [
  ["job_id", record.jobId],
  ["namespace_id", record.namespaceId],
  ["key_id", record.keyId],
  ["created_at", record.createdAt],
  ["version", record.version],
  ["service", record.service],
  ["environment", record.environment],
  ...patchColumns(record)
]

/** The columns that `toRecord` needs, from `record` with its input and output. A cost may be above 2^53, so it is read as text. */
export const SELECT_RECORD = `SELECT r.job_id, r.version, r.service, r.environment, r.namespace_id, r.key_id, r.client_tag, r.priority,
  r.constraints, r.state, r.error_code, r.created_at, r.finished_at, r.routing, r.evaluation, r.system, CAST(r.cost AS TEXT) AS cost,
  r.workflow, r.completeness, r.truncated_reason, r.moments, r.held, r.tombstone, r.salt, r.node_proof, r.receipt, i.body AS input, o.body AS output
  FROM record AS r JOIN record_input AS i USING (number) LEFT JOIN record_output AS o USING (number)`

export const text = <R extends Row | Cells>(row: R, name: keyof R): string => {
  const value: unknown = row[name]
  if (typeof value !== "string") throw new Error(`column ${String(name)} holds no text`)
  return value
}

export const number = <R extends Row | Cells>(row: R, name: keyof R): number => {
  const value: unknown = row[name]
  if (typeof value !== "number") throw new Error(`column ${String(name)} holds no number`)
  return value
}

/** null where the column is; the reader only sees what is there. */
export const maybe = <A, R extends Row | Cells>(row: R, name: keyof R, read: (row: R, name: keyof R) => A): A | null =>
  row[name] === null ? null : read(row, name)

/** What this house wrote as JSON into the column. */
export const json = <A>(row: Row, name: string): A => JSON.parse(text(row, name)) as A

/** The same of a column that `freeText` wrote: most of them hold nothing that was escaped. */
export const freeWord = <R extends Row | Cells>(row: R, name: keyof R): string => {
  const json = text(row, name)
  return json.includes("\\") ? (JSON.parse(json) as string) : json.slice(1, -1)
}

/** A column that holds one word of a closed set or a branded id, written from a value of that type. */
export const word = <A extends string, R extends Row | Cells = Row>(row: R, name: keyof R): A => text(row, name) as A

export const credits = <R extends Row | Cells>(row: R, name: keyof R): NonNullable<JobRecord["cost"]> =>
  BigInt(text(row, name)) as NonNullable<JobRecord["cost"]>

export const toRecord = (row: Row): JobRecord => ({
  jobId: word(row, "job_id"),
  version: number(row, "version"),
  service: word(row, "service"),
  environment: word(row, "environment"),
  namespaceId: word(row, "namespace_id"),
  keyId: word(row, "key_id"),
  clientTag: maybe(row, "client_tag", json<string>),
  priority: word(row, "priority"),
  constraints: json(row, "constraints"),
  state: word(row, "state"),
  errorCode: maybe(row, "error_code", json<string>),
  createdAt: number(row, "created_at"),
  finishedAt: maybe(row, "finished_at", number),
  input: json(row, "input"),
  routing: json(row, "routing"),
  output: maybe(row, "output", json<NonNullable<JobRecord["output"]>>),
  evaluation: json(row, "evaluation"),
  system: json(row, "system"),
  cost: maybe(row, "cost", credits),
  workflow: maybe(row, "workflow", json<NonNullable<JobRecord["workflow"]>>),
  completeness: word(row, "completeness"),
  truncatedReason: maybe(row, "truncated_reason", json<string>),
  moments: json(row, "moments"),
  held: number(row, "held") === 1,
  ...(row["tombstone"] === null ? {} : { tombstone: json<NonNullable<JobRecord["tombstone"]>>(row, "tombstone") }),
  ...given("salt", maybe(row, "salt", text)),
  ...given("nodeProof", maybe(row, "node_proof", json<NodeProof | null>)),
  ...given("receipt", maybe(row, "receipt", json<Receipt>))
})

/** The field, unless nothing was written to its column. A proof that is null was written as JSON. */
const given = <Field extends "salt" | "nodeProof" | "receipt">(field: Field, value: JobRecord[Field] | null) =>
  value === null ? {} : ({ [field]: value } as Pick<JobRecord, Field>)
