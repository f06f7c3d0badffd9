/** A search of jobs as a query string says it: the filters, whose cursors it takes, and the pages that it finds. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Scope } from "../layers/JobRecords.ts"
import { type Cursor, type JobFilter, JobSearch, type JobSummary } from "../layers/JobSearch.ts"
import { JobId, KeyId, NamespaceId, NodeId } from "../schemas/Ids.ts"
import { Endpoint, Mode } from "../schemas/Job.ts"
import { Service } from "../schemas/JobRecord.ts"
import { JobState } from "../schemas/JobState.ts"
import { type Refusal, refuse } from "../schemas/Refusal.ts"
import { type Call, type KeyedCall, scopeOf } from "./Call.ts"
import * as Cursors from "./Cursors.ts"
import { operatorScope } from "./Operator.ts"
import { type Params, readInstant, readOneOf, readQuery, readRange, readText } from "./Query.ts"

const SHARED = ["model", "type", "service", "mode", "status", "from", "to", "user", "key", "error"] as const
/** A customer looks through his own texts, and knows no node. */
const CUSTOMER = [...SHARED, "text"] as const
/** An operator sees no text, so he cannot ask what it says either. */
const OPERATOR = [...SHARED, "namespace", "node"] as const

export interface JobQuery {
  readonly scope: Scope
  readonly filter: JobFilter
  /** What prompt or answer must say; a namespace asks. */
  readonly text: string | undefined
  /** Whose cursors it gives and takes. */
  readonly owner: string
}

export const readCustomerQuery = Effect.fnUntraced(function* <const More extends string>(
  call: KeyedCall,
  more: ReadonlyArray<More>
) {
  const params: Params<(typeof CUSTOMER)[number] | More> = yield* readQuery(call.query, [...CUSTOMER, ...more])
  const filter = yield* readFilter(params as Params<(typeof CUSTOMER)[number]>)
  const text = yield* readText("text", (params as Params<"text">).text)
  const query: JobQuery = { scope: scopeOf(call), filter, text, owner: call.caller.namespace.id }
  return { query, params }
})

export const readOperatorQuery = Effect.fnUntraced(function* <const More extends string>(
  call: Call,
  more: ReadonlyArray<More>
) {
  const params: Params<(typeof OPERATOR)[number] | More> = yield* readQuery(call.query, [...OPERATOR, ...more])
  const { namespace, node } = params as Params<"namespace" | "node">
  const nodeId = yield* readId("node", node, NodeId)
  const filter = { ...(yield* readFilter(params as Params<(typeof SHARED)[number]>)), ...given({ nodeId }) }
  const query: JobQuery = { scope: yield* readScope(call, namespace), filter, text: undefined, owner: "operator" }
  return { query, params }
})

/** One namespace for an operator who names it, all for one who does not. */
export const readScope = (call: Call, namespace: string | undefined): Effect.Effect<Scope, Refusal> =>
  Effect.map(readId("namespace", namespace, NamespaceId), (namespaceId) =>
    namespaceId === undefined ? operatorScope(call) : { _tag: "Namespace", namespaceId }
  )

const readFilter = Effect.fnUntraced(function* (params: Params<(typeof SHARED)[number]>) {
  const model = yield* readText("model", params.model)
  const endpoint = yield* readOneOf("type", params.type, Endpoint.literals)
  const service = yield* readOneOf("service", params.service, Service.literals)
  const mode = yield* readOneOf("mode", params.mode, Mode.literals)
  const state = yield* readOneOf("status", params.status, JobState.literals)
  const clientTag = yield* readText("user", params.user)
  const errorCode = yield* readText("error", params.error)
  const keyId = yield* readId("key", params.key, KeyId)
  const span = yield* readSpan(params)
  return { ...given({ model, endpoint, service, mode, state, clientTag, errorCode, keyId }), ...span }
})

/** Without bounds the search begins with the newest and ends where the pages do. */
export const readSpan = (params: Params<"from" | "to">) =>
  Effect.gen(function* () {
    if (params.from === undefined && params.to === undefined) return {}
    if (params.from === undefined) return given({ to: yield* readInstant("to", params.to) })
    return yield* readRange(params, yield* Clock.currentTimeMillis, 0)
  })

export const readId = <A>(
  param: string,
  text: string | undefined,
  schema: Schema.Codec<A, string>
): Effect.Effect<A | undefined, Refusal> =>
  text === undefined || Schema.is(schema)(text)
    ? Effect.succeed(text as A | undefined)
    : Effect.fail(refuse("invalid_request", `${param} is not an id.`, { param }))

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> }
/** Only the fields that are there. */
export const given = <T extends object>(fields: T): Given<T> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Given<T>

export interface Page {
  readonly jobs: ReadonlyArray<JobSummary>
  /** Where the next page begins; null when there is none. A page of a search for a word may be short and yet have a next one. */
  readonly next: Cursor | null
}

export const findPage = Effect.fnUntraced(function* (
  { scope, filter, text }: JobQuery,
  after: Cursor | null,
  limit: number
) {
  const search = yield* JobSearch
  if (text !== undefined && scope._tag === "Namespace") {
    const { found, next } = yield* search.searchText(scope.namespaceId, filter, text, after, limit)
    return { jobs: found, next } satisfies Page
  }
  const found = yield* search.search(scope, filter, after, limit + 1)
  const jobs = found.slice(0, limit)
  return { jobs, next: found.length > limit ? (jobs.at(-1) ?? null) : null } satisfies Page
})

export const jobCursor = ({ createdAt, jobId }: Cursor, { owner }: JobQuery): string =>
  Cursors.writeCursor({ at: createdAt, id: jobId }, owner)

const isJobId = Schema.is(JobId)

export const readJobCursor = (param: string, text: string | undefined, { owner }: JobQuery) =>
  Effect.flatMap(Cursors.readCursor(param, text, owner), (position): Effect.Effect<Cursor | null, Refusal> => {
    if (position === null) return Effect.succeed(null)
    return isJobId(position.id)
      ? Effect.succeed({ createdAt: position.at, jobId: position.id })
      : Effect.fail(refuse("invalid_request", "This cursor is of another list.", { param }))
  })
