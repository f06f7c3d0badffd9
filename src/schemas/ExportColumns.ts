/** The columns of exported jobs: how each is called and what it holds, so that a format with types can say so. */
import type { JobLine } from "./openai/JobView.ts"

/** instant: Unix time in milliseconds. amount: credits as a decimal text with at most six places. json: whatever JSON says. */
export type ColumnKind = "text" | "integer" | "instant" | "amount" | "json"

export interface Column {
  readonly name: string
  readonly kind: ColumnKind
}

export const columns = (kinds: Readonly<Record<string, ColumnKind>>): ReadonlyArray<Column> =>
  Object.entries(kinds).map(([name, kind]) => ({ name, kind }))

/** The last one of every file: whoever has the last whole row goes on behind it. */
export const CURSOR: Column = { name: "cursor", kind: "text" }

const OPERATOR_KINDS = {
  jobId: "text",
  namespaceId: "text",
  keyId: "text",
  createdAt: "instant",
  finishedAt: "instant",
  state: "text",
  errorCode: "text",
  endpoint: "text",
  mode: "text",
  model: "text",
  priority: "text",
  clientTag: "text",
  nodeId: "text",
  promptTokens: "integer",
  outputTokens: "integer",
  cost: "amount",
  queueMs: "integer",
  firstTokenMs: "integer",
  totalMs: "integer"
} as const satisfies Readonly<Record<string, ColumnKind>>

/** What an operator sees of jobs, without the cursor. */
export const OPERATOR_COLUMNS = columns(OPERATOR_KINDS)
export type OperatorColumn = keyof typeof OPERATOR_KINDS

/** What a customer sees of a job, without the cursor and without what was asked and answered. */
export const CUSTOMER_COLUMNS = columns({
  id: "text",
  created_at: "instant",
  finished_at: "instant",
  state: "text",
  error_code: "text",
  endpoint: "text",
  mode: "text",
  model: "text",
  priority: "text",
  user: "text",
  key_id: "text",
  prompt_tokens: "integer",
  output_tokens: "integer",
  cost: "amount",
  queue_ms: "integer",
  first_token_ms: "integer",
  total_ms: "integer"
} satisfies Record<Exclude<keyof JobLine, "object">, ColumnKind>)
