/**
 * Every table of the deciding store, and what a snapshot does with it: `STATE` is copied row by row, the others are named with the reason why not.
 * A row has one logical form, whichever back end holds it. A test fails when a migration adds a table or a column that stands here in no way; one
 * line mends it.
 */

/**
 * How a value stands in a snapshot. text: plain. free: what a person wrote, as JSON text. json: canonical JSON text. lane: the same, of an object
 * with a lane's four fields. facts: the same, of what is fixed about a job. environment: text that a fork replaces. int: a whole number of up to 64 bits.
 * amount: a whole number of any size, as decimal text. number: any.
 */
export type ColumnType = "text" | "free" | "json" | "lane" | "facts" | "environment" | "int" | "amount" | "number"

export interface StateColumn {
  readonly name: string
  readonly type: ColumnType
}

/** What becomes of the rows in a fork: always there, never, or only on request. */
export type InFork = "kept" | "dropped" | "asked"

export interface StateTable {
  readonly name: string
  /** Of the logical form: raised when columns change their meaning. */
  readonly version: number
  readonly columns: ReadonlyArray<StateColumn>
  /** Places of the key's columns: rows stand in its ascending order, texts by their bytes. */
  readonly key: ReadonlyArray<number>
  /**
   * Columns that are no part of the state, with the SQL expression over the others that fills them at a restore; null leaves that to the table. A
   * back end may lack some of them.
   */
  readonly passing: Readonly<Record<string, string | null>>
  readonly inFork: InFork
  /** A store that nobody used has rows of it, made with the table: they do not make it one that holds something, and a fill replaces them by key. */
  readonly seeded: boolean
}

export type StateValue = string | number | bigint | null
/** In the order of the table's columns. */
export type StateRow = ReadonlyArray<StateValue>

export interface StateOptions {
  readonly version?: number
  readonly passing?: StateTable["passing"]
  readonly inFork?: InFork
  readonly seeded?: boolean
}

/** `"!id name:free at:int"`: columns in order, `!` before those of the key, of type text where none is said. */
export const stateTable = (name: string, columns: string, options: StateOptions = {}): StateTable => {
  const { version = 1, passing = {}, inFork = "kept", seeded = false } = options
  const words = columns.split(" ")
  return {
    name,
    version,
    columns: words.map((word) => {
      const [column = "", type = "text"] = word.replace("!", "").split(":")
      return { name: column, type: type as ColumnType }
    }),
    key: words.flatMap((word, at) => (word.startsWith("!") ? [at] : [])),
    passing,
    inFork,
    seeded
  }
}

const HISTORY = "reason:free by:free"

/** In an order in which what a row refers to stands before it. */
export const STATE: ReadonlyArray<StateTable> = [
  stateTable("namespace", "!id name:free environment:environment rules:json created_at:int"),
  stateTable(
    "api_key",
    "!id namespace_id digest label:free prefix:free rate_per_second:number created_at:int expires_at:int revoked_at:int",
    { inFork: "asked" }
  ),
  stateTable("credit_balance", "!namespace_id granted:int available:int reserved:int spent:int open_jobs:int"),
  // A heartbeat is news and no state; who does not beat any more is buried, and its jobs go on elsewhere.
  stateTable("daemon", "!id started_at:int state", {
    passing: { beat_at: "started_at", heard_at: null, lock_key: "0" }
  }),
  stateTable(
    "node",
    "!id environment:environment profile:json lifecycle generation:int registered_at:int last_seen_at:int"
  ),
  stateTable("node_restriction", `!node_id !kind ${HISTORY} since:int until:int`),
  stateTable("node_restriction_history", `!seq:int node_id kind change ${HISTORY} until:int at:int`),
  stateTable("model", "!environment:environment !name:free endpoints:json first_seen_at:int"),
  stateTable("config_version", `!version:int digest settings:json ${HISTORY} at:int`),
  stateTable("audit", "!seq:int actor:free action:free subject:free reason:free detail:json at:int hash"),
  // Who leads is news; how far a sweep came is not. A fork's sweeps begin anew: what they went over may not be there.
  stateTable("sweeper_state", "!name epoch:int watermark:json swept:int", {
    passing: { leader: null, swept_at: null, last_error: null },
    inFork: "dropped"
  }),
  stateTable(
    "job",
    `!id namespace_id facts:facts lane:lane reserved:int accepted_at:int deadline_at:int state owner epoch:int attempt:int failures:int crashes:int
node_id run_at:int prompt_tokens:int output_tokens:int charged:int error_code finished_at:int events:int`.replace(
      "\n",
      " "
    )
  ),
  stateTable(
    "job_event",
    "!job_id !seq:int kind from_state to_state epoch:int attempt:int daemon_id node_id code at:int"
  ),
  // A batch that is on its way to cold storage goes on after a restore, so no row is archived twice. A fork has no such batch: the segment is the original's.
  stateTable("job_leaving", "!job_id segment_id", { inFork: "dropped" }),
  stateTable("credit_entry", "!namespace_id !seq:int kind amount:int job_id reference at:int"),
  // A client of the fork is nobody who asked before.
  stateTable("idempotency_key", "!namespace_id !key body_hash job_id expires_at:int", { inFork: "dropped" }),
  // An hour that was closed and an invoice that was sent stay as they were: added up anew, a late entry would stand in another hour. A fork has sent none.
  stateTable("rollup_progress", "!definition closed_until:int", { inFork: "dropped", seeded: true }),
  stateTable(
    "rollup_place",
    "!namespace_id seq:int jobs_seq:int period:int granted:amount available:amount reserved:amount spent:amount open_jobs:int",
    { inFork: "dropped" }
  ),
  stateTable(
    "rollup_credits",
    `!period:int !namespace_id first_seq:int last_seq:int opened:int ended:int granted:amount reserved:amount settled:amount refunded:amount
granted_at_end:amount available_at_end:amount reserved_at_end:amount spent_at_end:amount open_jobs_at_end:int`.replace(
      "\n",
      " "
    ),
    { inFork: "dropped" }
  ),
  stateTable(
    "rollup_jobs",
    `!period:int !key environment:environment namespace_id model mode state jobs:int prompt_tokens:int output_tokens:int cost:amount
total_ms:int started:int queue_ms:int`.replace("\n", " "),
    { inFork: "dropped" }
  ),
  stateTable(
    "rollup_accounts",
    `!period:int !environment:environment namespaces:int keys:int open_jobs:int granted:amount available:amount reserved:amount
spent:amount`.replace("\n", " "),
    { inFork: "dropped" }
  ),
  // Names segments of cold storage, in which the rows of these days are.
  stateTable("rollup_day", "!day:int segments:json rows:int at:int", { inFork: "dropped" }),
  // What is to be forgotten is forgotten after a restore too, and in a fork; stones are the proof. Free text is JSON text in every back end.
  stateTable(
    "erasure",
    `!id namespace_id job_id client_tag:json asked_by:json reason:json asked_at:int cursor erased:int refused:int done_at:int`
  ),
  stateTable("erasure_stone", "!job_id body:json"),
  // What was said for good: a receipt is checked by its leaf, its hour and a key, however old. A fork is another network and has said nothing yet.
  stateTable("network_key", "!id public_key since:int", { inFork: "dropped" }),
  stateTable("receipt_leaf", "!job_id hour:int hash blind", { inFork: "dropped" }),
  stateTable("receipt_block", "!hour:int !block:int first_job_id hash", { inFork: "dropped" }),
  stateTable("receipt_root", "!number:int hour:int body:json", { inFork: "dropped" })
]

/** Tables beside those, and why no snapshot holds their rows. */
export const NOT_STATE: Readonly<Record<string, string>> = {
  migration: "of the store and not of the network: a restore migrates first",
  outbox: "promises that the reaper makes again from the rows of jobs",
  webhook: "holds secrets, and a copy must not tell the receivers of the original anything",
  notice: "belongs to a webhook",
  network_key_use: "news: every daemon says it again when it starts",
  // The record store, which in the embedded profile stands in the same file.
  record: "prompts and answers stay in the record store and in segments",
  record_input: "as record",
  record_output: "as record",
  record_tally: "as record",
  trace: "as record",
  trace_chunk: "as record",
  log: "as record",
  incident: "as record",
  evaluation_set: "holds prompts, and stands with the records",
  trial: "as record",
  evidence: "as record",
  standing: "as record"
}

export const tableNamed = (name: string): StateTable | undefined => STATE.find((table) => table.name === name)

export const keyOf = ({ key }: StateTable, row: StateRow): StateRow => key.map((at) => row[at] ?? null)

/** Which key comes first; texts by their UTF-8, as the stores do. */
export const compareKeys = (one: StateRow, other: StateRow): number => {
  for (const [at, value] of one.entries()) {
    const order = compareValues(value, other[at] ?? null)
    if (order !== 0) return order
  }
  return 0
}

const compareValues = (one: StateValue, other: StateValue): number => {
  if (typeof one === "string" && typeof other === "string") {
    return one === other ? 0 : Buffer.compare(Buffer.from(one), Buffer.from(other))
  }
  if (one === other || one === null || other === null) return 0
  return one < other ? -1 : 1
}
