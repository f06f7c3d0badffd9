/** Jobs in a list: the filters of `jobs list` and the columns they come in. */
import * as Schema from "effect/Schema"
import { Endpoint, Mode } from "../../schemas/Job.ts"
import { Service } from "../../schemas/JobRecord.ts"
import { JobState } from "../../schemas/JobState.ts"
import type { Flag, Input } from "../Command.ts"
import type { Query } from "../Control.ts"
import { instant, instantFault } from "../Plain.ts"
import type { Column } from "../Table.ts"

export const JobLine = Schema.Struct({
  jobId: Schema.String,
  namespaceId: Schema.String,
  endpoint: Schema.String,
  mode: Schema.String,
  model: Schema.String,
  priority: Schema.String,
  state: Schema.String,
  errorCode: Schema.NullOr(Schema.String),
  createdAt: Schema.Finite,
  promptTokens: Schema.Finite,
  outputTokens: Schema.Finite,
  cost: Schema.NullOr(Schema.String),
  totalMs: Schema.NullOr(Schema.Finite)
})
export type JobLine = typeof JobLine.Type

export const COLUMNS: ReadonlyArray<Column<JobLine>> = [
  { title: "JOB", of: ({ jobId }) => jobId },
  { title: "CREATED", of: ({ createdAt }) => instant(createdAt) },
  { title: "STATE", of: ({ state }) => state },
  { title: "ERROR", of: ({ errorCode }) => errorCode, max: 24 },
  { title: "TYPE", of: ({ endpoint }) => endpoint },
  { title: "MODE", of: ({ mode }) => mode },
  { title: "MODEL", of: ({ model }) => model, max: 32 },
  { title: "PRIORITY", of: ({ priority }) => priority },
  { title: "TOKENS", of: ({ promptTokens, outputTokens }) => `${promptTokens}+${outputTokens}`, right: true },
  { title: "COST", of: ({ cost }) => cost, right: true },
  { title: "MS", of: ({ totalMs }) => totalMs, right: true },
  { title: "NAMESPACE", of: ({ namespaceId }) => namespaceId }
]

/** The query's own names, so that a filter is sent as it was given. */
export const FILTERS: ReadonlyArray<Flag> = [
  { name: "namespace", value: "ID", help: "jobs of this namespace" },
  { name: "model", value: "NAME", help: "asked of this model" },
  { name: "type", value: "TYPE", help: "one of", oneOf: Endpoint.literals },
  { name: "service", value: "AREA", help: "of one of", oneOf: Service.literals },
  { name: "mode", value: "MODE", help: "one of", oneOf: Mode.literals },
  { name: "status", value: "STATE", help: "one of", oneOf: JobState.literals },
  { name: "from", value: "TIME", help: "created then or later: ISO 8601 or epoch milliseconds", check: instantFault },
  { name: "to", value: "TIME", help: "created before then", check: instantFault },
  { name: "user", value: "TAG", help: "with this tag of the client" },
  { name: "key", value: "ID", help: "asked with this key" },
  { name: "node", value: "ID", help: "last tried on this node" },
  { name: "error", value: "CODE", help: "ended with this code" }
]

/** The filters that were given, as a query. */
export const filtersOf = ({ flags }: Input): Query =>
  Object.fromEntries(
    FILTERS.flatMap(({ name }) => {
      const text = flags.get(name)
      return text === undefined ? [] : [[name, name === "node" ? text.toLowerCase() : text]]
    })
  )
