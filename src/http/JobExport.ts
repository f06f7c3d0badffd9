/**
 * A search of jobs as a file, written while it is read: page by page, and no page before the client has room for it, so memory does not grow with the
 * number of rows. Every row ends with its cursor; whoever has the last whole row goes on behind it (`after`) without gap or repeat.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Cursor, JobSearch, JobSummary } from "../layers/JobSearch.ts"
import { Outage, waitOut } from "../layers/Outage.ts"
import { type Column, CURSOR } from "../schemas/ExportColumns.ts"
import { type Refusal, refuse } from "../schemas/Refusal.ts"
import type { Call } from "./Call.ts"
import { type ExportFormat, FORMAT_NAMES, FORMATS, type Row } from "./ExportFormat.ts"
import { findPage, jobCursor, type JobQuery, type Page, readJobCursor } from "./JobQuery.ts"
import * as Outlet from "./Outlet.ts"
import { type Params, readOneOf } from "./Query.ts"

export interface Exported {
  readonly query: JobQuery
  /** In their order; the cursor comes last and is not among them. */
  readonly columns: ReadonlyArray<Column>
  /** A fresh one each time. */
  readonly rowOf: (job: JobSummary) => Record<string, Schema.Json>
  /** More of each job than its summary. */
  readonly bodies: {
    readonly columns: ReadonlyArray<Column>
    readonly of: (job: JobSummary) => Effect.Effect<Row, Outage>
  } | null
}

export const EXPORT_PARAMS = ["format", "after"] as const

const PAGE_ROWS = 500
/** Bodies may be large; so many are in memory at once. */
const BODIES_AT_ONCE = 8
/** How long a store that stopped answering is waited for before the file is broken off. */
const PATIENCE = Duration.seconds(60)

/** Refused while this many go on at once. */
export interface Gate {
  readonly enter: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Refusal, R>
}

export const makeGate = (most: number): Gate => {
  let within = 0
  return {
    enter: (effect) =>
      Effect.acquireUseRelease(
        Effect.suspend(() => (within >= most ? Effect.fail(crowded) : Effect.sync(() => void within++))),
        () => effect,
        () => Effect.sync(() => void within--)
      )
  }
}

const crowded = refuse("overloaded", "Too many exports are going on here. Try again in a moment.", {
  retryAfterMs: 5_000
})

export const exportJobs = Effect.fnUntraced(function* (
  call: Call,
  params: Params<(typeof EXPORT_PARAMS)[number]>,
  exported: Exported
): Effect.fn.Return<HttpServerResponse.HttpServerResponse, Refusal | Outage, JobSearch> {
  const { query } = exported
  const format = FORMATS[(yield* readOneOf("format", params.format, FORMAT_NAMES)) ?? "ndjson"]
  const after = yield* readJobCursor("after", params.after, query)
  const isContinued = after !== null
  const outlet = Outlet.make(call, headOf(format, isContinued))
  // Of a HEAD nothing but the head is wanted.
  if (call.incoming.method === "HEAD") return yield* outlet.end("")
  const rows = rowsFrom(yield* findPage(query, after, PAGE_ROWS), exported)
  const { columns, bodies } = exported
  const pieces = format.encode(rows, [...columns, ...(bodies?.columns ?? []), CURSOR], isContinued)
  return yield* Stream.runForEach(pieces, (piece) =>
    // Whoever left is not read for.
    Outlet.isOver(call) ? Effect.interrupt : outlet.write(piece)
  ).pipe(
    Effect.andThen(outlet.end("")),
    Effect.catchTag("Outage", (outage) =>
      outlet.started()
        ? Effect.andThen(Effect.logWarning("export broken off", { of: outage.of }), Outlet.cut(call)).pipe(
            Effect.andThen(outlet.end(""))
          )
        : Effect.fail(outage)
    )
  )
})

const headOf = ({ extension, contentType }: ExportFormat, isContinued: boolean) => ({
  "content-type": contentType(isContinued),
  "content-disposition": `attachment; filename="jobs.${extension}"`,
  "cache-control": "no-store",
  "x-accel-buffering": "no"
})

const rowsFrom = (
  first: Page,
  { query, rowOf: summaryOf, bodies }: Exported
): Stream.Stream<Row, Outage, JobSearch> => {
  const jobs = Stream.paginate<Page | NonNullable<Page["next"]>, JobSummary, Outage, JobSearch>(first, (at) =>
    Effect.map(
      "jobs" in at ? Effect.succeed(at) : patient(nextPage(query, at)),
      (page) => [page.jobs, Option.fromNullOr(page.next)] as const
    )
  )
  const rowOf = (job: JobSummary, more: Row | null): Row => {
    const row = summaryOf(job)
    if (more !== null) Object.assign(row, more)
    row[CURSOR.name] = jobCursor(job, query)
    return row
  }
  if (bodies === null) return Stream.map(jobs, (job) => rowOf(job, null))
  return jobs.pipe(
    Stream.mapEffect((job) => Effect.map(patient(bodies.of(job)), (more) => rowOf(job, more)), {
      concurrency: BODIES_AT_ONCE
    }),
    Stream.rechunk(1)
  )
}

/** Where too many ask at the moment, a later page waits as it would for a store. */
const nextPage = (query: JobQuery, at: Cursor) =>
  Effect.catchTag(findPage(query, at, PAGE_ROWS), "Refusal", (cause) =>
    Effect.fail(new Outage({ of: "JobSearch", during: "searchText", cause }))
  )

/** A file that has begun is worth some waiting. */
const patient = <A, R>(read: Effect.Effect<A, Outage, R>): Effect.Effect<A, Outage, R> =>
  Effect.timeoutOrElse(waitOut(read), { duration: PATIENCE, orElse: () => read })
