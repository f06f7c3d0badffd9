/** `GET /v1/jobs`: newest first, by filters that an index serves, page by page. */
import { createHash } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type Cursor, JobSearch } from "../../layers/JobSearch.ts"
import { JobId, NodeId, KeyId } from "../../schemas/Ids.ts"
import { Endpoint, Mode } from "../../schemas/Job.ts"
import { JobState } from "../../schemas/JobState.ts"
import { type Refusal, refuse } from "../../schemas/Refusal.ts"
import { type Call, json, type KeyedCall, scopeOf } from "../Call.ts"
import { lineOf } from "../JobViews.ts"
import { readInstant, readInt, readOneOf, readQuery, readRange, readText } from "../Query.ts"
import { keyed } from "../Route.ts"

const PAGE_DEFAULT = 20
const PAGE_MAX = 100

const CUSTOMER_FILTERS = ["model", "type", "mode", "status", "from", "to", "user", "limit", "cursor"] as const
const OPERATOR_FILTERS = [...CUSTOMER_FILTERS, "namespace", "key", "node", "error"] as const

/** A search as its query string says it. `owner` keeps the cursors of one reader from being used by another. */
export const readSearch = Effect.fnUntraced(function* (call: Call, owner: string, operator: boolean) {
  const query: Readonly<Partial<Record<(typeof OPERATOR_FILTERS)[number], string>>> = yield* readQuery(
    call.query,
    operator ? OPERATOR_FILTERS : CUSTOMER_FILTERS
  )
  const model = yield* readText("model", query.model)
  const endpoint = yield* readOneOf("type", query.type, Endpoint.literals)
  const mode = yield* readOneOf("mode", query.mode, Mode.literals)
  const state = yield* readOneOf("status", query.status, JobState.literals)
  const clientTag = yield* readText("user", query.user)
  const errorCode = yield* readText("error", query.error)
  const keyId = yield* readId("key", query.key, KeyId)
  const nodeId = yield* readId("node", query.node, NodeId)
  const range = yield* readSpan(query)
  const limit = yield* readInt("limit", query.limit, { least: 1, most: PAGE_MAX, otherwise: PAGE_DEFAULT })
  const filter = { ...given({ model, endpoint, mode, state, clientTag, errorCode, keyId, nodeId }), ...range }
  return { filter, limit, after: yield* readCursor(query.cursor, owner), namespace: query.namespace }
})

/** Without bounds the search begins with the newest and ends where the pages do. */
const readSpan = (query: Readonly<Partial<Record<"from" | "to", string>>>) =>
  Effect.gen(function* () {
    if (query.from === undefined && query.to === undefined) return {}
    if (query.from === undefined) return given({ to: yield* readInstant("to", query.to) })
    return yield* readRange(query, yield* Clock.currentTimeMillis, 0)
  })

const readId = <A>(param: string, text: string | undefined, schema: Schema.Codec<A, string>) =>
  text === undefined || Schema.is(schema)(text)
    ? Effect.succeed(text as A | undefined)
    : Effect.fail(refuse("invalid_request", `${param} is not an id.`, { param }))

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> }
const given = <T extends object>(fields: T): Given<T> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Given<T>

/** A position with a check over whose it is: a cursor that was changed, or given to another namespace, is refused. */
export const writeCursor = ({ createdAt, jobId }: Cursor, owner: string): string =>
  Buffer.from(`${createdAt}.${jobId}.${checkOf(createdAt, jobId, owner)}`).toString("base64url")

const checkOf = (createdAt: number, jobId: string, owner: string): string =>
  createHash("sha256").update(`cursor/v1 ${owner} ${createdAt} ${jobId}`).digest("base64url").slice(0, 16)

const isJobId = Schema.is(JobId)

const readCursor = (text: string | undefined, owner: string): Effect.Effect<Cursor | null, Refusal> => {
  if (text === undefined) return Effect.succeed(null)
  const [created = "", jobId = ""] = Buffer.from(text, "base64url").toString("utf8").split(".")
  const cursor = isJobId(jobId) ? { createdAt: Number(created), jobId } : null
  return cursor !== null && writeCursor(cursor, owner) === text
    ? Effect.succeed(cursor)
    : Effect.fail(
        refuse("invalid_request", "This cursor is not from here. Begin again without one.", { param: "cursor" })
      )
}

export const searchJobs = keyed(
  Effect.fnUntraced(function* (call: KeyedCall) {
    const owner = call.caller.namespace.id
    const { filter, after, limit } = yield* readSearch(call, owner, false)
    const search = yield* JobSearch
    const found = yield* search.search(scopeOf(call), filter, after, limit + 1)
    const page = found.slice(0, limit)
    const last = found.length > limit ? page.at(-1) : undefined
    return json({
      object: "list",
      data: page.map(lineOf),
      has_more: last !== undefined,
      next_cursor: last === undefined ? null : writeCursor(last, owner)
    })
  })
)
