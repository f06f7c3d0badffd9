/**
 * A search of jobs as a file, written while it is read: page by page, and no page before the client has room for it, so memory does not grow with the
 * number of rows. Every row ends with its cursor; whoever has the last whole row goes on behind it (`after`) without gap or repeat.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Ndjson from "effect/encoding/Ndjson"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Cursor, JobSearch, JobSummary } from "../layers/JobSearch.ts"
import { Outage, waitOut } from "../layers/Outage.ts"
import { type Refusal, refuse } from "../schemas/Refusal.ts"
import type { Call } from "./Call.ts"
import { csvLine, harmlessCell } from "./CsvCells.ts"
import { findPage, jobCursor, type JobQuery, type Page, readJobCursor } from "./JobQuery.ts"
import * as Outlet from "./Outlet.ts"
import { type Params, readOneOf } from "./Query.ts"

type Row = Readonly<Record<string, Schema.Json>>

export interface Exported {
  readonly query: JobQuery
  readonly columns: {
    /** In their order; the cursor comes last and is not among them. */
    readonly names: ReadonlyArray<string>
    /** Those that a CSV says in ISO 8601, which a spreadsheet reads. */
    readonly instants: ReadonlySet<string>
    /** A fresh one each time. */
    readonly of: (job: JobSummary) => Record<string, Schema.Json>
  }
  /** More of each job than its summary. */
  readonly bodies: {
    readonly names: ReadonlyArray<string>
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
  const format = (yield* readOneOf("format", params.format, ["csv", "ndjson"])) ?? "ndjson"
  const after = yield* readJobCursor("after", params.after, query)
  const isContinued = after !== null
  const outlet = Outlet.make(call, headOf(format, isContinued))
  // Of a HEAD nothing but the head is wanted.
  if (call.incoming.method === "HEAD") return yield* outlet.end("")
  const rows = rowsFrom(yield* findPage(query, after, PAGE_ROWS), exported)
  const text = format === "csv" ? csvOf(rows, exported, !isContinued) : ndjsonOf(rows)
  return yield* Stream.runForEachArray(text, (lines) =>
    // Whoever left is not read for.
    Outlet.isOver(call) ? Effect.interrupt : outlet.write(lines.join(""))
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

const headOf = (format: "csv" | "ndjson", isContinued: boolean) => ({
  "content-type":
    format === "csv"
      ? `text/csv; charset=utf-8; header=${isContinued ? "absent" : "present"}`
      : "application/x-ndjson; charset=utf-8",
  "content-disposition": `attachment; filename="jobs.${format}"`,
  "cache-control": "no-store",
  "x-accel-buffering": "no"
})

const rowsFrom = (first: Page, { query, columns, bodies }: Exported): Stream.Stream<Row, Outage, JobSearch> => {
  const jobs = Stream.paginate<Page | NonNullable<Page["next"]>, JobSummary, Outage, JobSearch>(first, (at) =>
    Effect.map(
      "jobs" in at ? Effect.succeed(at) : patient(nextPage(query, at)),
      (page) => [page.jobs, Option.fromNullOr(page.next)] as const
    )
  )
  const rowOf = (job: JobSummary, more: Row | null): Row => {
    const row = columns.of(job)
    if (more !== null) Object.assign(row, more)
    row["cursor"] = jobCursor(job, query)
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

const ndjsonOf = <R>(rows: Stream.Stream<Row, Outage, R>) =>
  Stream.pipeThroughChannel(rows, Ndjson.encodeString()).pipe(Stream.catchTag("NdjsonError", Stream.die))

const csvOf = <R>(
  rows: Stream.Stream<Row, Outage, R>,
  { columns, bodies }: Exported,
  withHeader: boolean
): Stream.Stream<string, Outage, R> => {
  const names = [...columns.names, ...(bodies?.names ?? []), "cursor"]
  const writers = names.map((name) => ({ name, cell: columns.instants.has(name) ? instantCell() : cellOf }))
  const lines = Stream.map(rows, (row) => csvLine(writers.map(({ name, cell }) => cell(row[name] ?? null))))
  return withHeader ? Stream.concat(Stream.make(csvLine(names)), lines) : lines
}

const cellOf = (value: Schema.Json): string =>
  typeof value === "object" && value !== null
    ? JSON.stringify(value)
    : harmlessCell(typeof value === "boolean" ? String(value) : value)

const DAY_MS = 86_400_000

/** ISO 8601. Rows come in order of time, so their day is mostly that of the row before. */
const instantCell = () => {
  let day = Number.NaN
  let date = ""
  return (value: Schema.Json): string => {
    if (typeof value !== "number") return cellOf(value)
    const at = Math.floor(value / DAY_MS)
    if (at !== day) {
      day = at
      date = DateTime.formatIsoDateUtc(DateTime.makeUnsafe(at * DAY_MS))
    }
    const ms = value - at * DAY_MS
    const seconds = Math.floor(ms / 1000)
    return `${date}T${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}.${String(ms % 1000).padStart(3, "0")}Z`
  }
}

const two = (count: number): string => (count < 10 ? `0${count}` : String(count))
