/**
 * Looks at every line of a segment: that it is a job of a version we know, of the manifest's namespace, once, and that all of them together are
 * what the manifest counts and spans. Names where something is wrong and never what stands there: lines hold prompts and answers.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { BrokenSegment, linesIn } from "../../layers/Archive.ts"
import {
  ArchivedLine,
  type DataClass,
  ErasedLine,
  IncidentLine,
  LogLine,
  NEWEST_VERSION,
  type SegmentManifest
} from "../../schemas/Archive.ts"
import { JobRowLine } from "../../schemas/JobRowLine.ts"
import { instant } from "../Plain.ts"
import { faultInRollups } from "./RollupInspection.ts"
import { type Faulty, laterVersion, LaterSegment, type Loaded } from "./Segments.ts"

const decodeJob = Schema.decodeUnknownResult(ArchivedLine)
const decodeErased = Schema.decodeUnknownResult(Schema.toCodecJson(ErasedLine))
const isErased = Schema.is(Schema.Struct({ erased: Schema.Unknown }))
const decodeLog = Schema.decodeUnknownResult(LogLine)
const decodeRow = Schema.decodeUnknownResult(JobRowLine)
const decodeIncident = Schema.decodeUnknownResult(IncidentLine)
const Version = Schema.Struct({ record: Schema.Struct({ version: Schema.Int }) })
const decodeVersion = Schema.decodeUnknownResult(Version)
const format = SchemaIssue.makeFormatterStandardSchemaV1()

interface Fault {
  readonly kind: "broken" | "later"
  readonly why: string
}

const broken = (why: string): Fault => ({ kind: "broken", why })

export const inspect = (segment: Loaded): Effect.Effect<void, Faulty> =>
  Effect.tryPromise({
    try: (signal) => faultIn(segment, signal),
    catch: (cause) =>
      new BrokenSegment({
        segmentId: segment.id,
        why: `cannot be unpacked: ${cause instanceof Error ? cause.message : String(cause)}`
      })
  }).pipe(
    Effect.flatMap((fault): Effect.Effect<void, Faulty> => {
      if (fault === null) return Effect.void
      const about = { segmentId: segment.id, why: fault.why }
      return Effect.fail(fault.kind === "later" ? new LaterSegment(about) : new BrokenSegment(about))
    })
  )

const faultIn = async (segment: Loaded, signal: AbortSignal): Promise<Fault | null> => {
  if (segment.manifest.dataClass !== "rollups") return faultInJobs(segment, signal)
  const found = await faultInRollups(segment, signal)
  if (found === null) return null
  return "why" in found ? broken(found.why) : faultOfAll(segment.manifest, found)
}

const faultInJobs = async ({ manifest, bytes }: Loaded, signal: AbortSignal): Promise<Fault | null> => {
  const jobs = new Set<string>()
  let [count, from, to] = [0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for await (const bytesOfLine of linesIn(bytes)) {
    if (signal.aborted) return null
    count++
    const line = readLine(bytesOfLine, manifest.dataClass)
    if (Result.isFailure(line)) return { ...line.failure, why: `has a line ${count} ${line.failure.why}` }
    const { id, namespaceId, at } = line.success
    if (namespaceId !== manifest.namespaceId) return broken(`has a line ${count} of another namespace`)
    if (at === null) return broken(`has a line ${count} of a job that has not ended`)
    if (id !== null && jobs.has(id)) return broken(`has a line ${count} with a job that it holds already`)
    if (id !== null) jobs.add(id)
    from = Math.min(from, at)
    to = Math.max(to, at)
  }
  return faultOfAll(manifest, { count, from, to })
}

const faultOfAll = (
  manifest: SegmentManifest,
  { count, from, to }: Pick<SegmentManifest, "count" | "from" | "to">
): Fault | null => {
  if (count !== manifest.count) return broken(`holds ${count} lines, not ${manifest.count}`)
  if (count === 0 || (from === manifest.from && to === manifest.to)) return null
  const span = (first: number, last: number) => `${instant(first)} to ${instant(last)}`
  return broken(`spans ${span(from, to)}, not ${span(manifest.from, manifest.to)}`)
}

const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** What has to agree with the manifest. */
interface Line {
  /** Of a job, which stands once in a segment. */
  readonly id: string | null
  readonly namespaceId: string | null
  readonly at: number | null
}

const ofJob = ({
  jobId,
  namespaceId,
  finishedAt
}: Omit<Line, "id" | "at"> & { jobId: string; finishedAt: number | null }): Line => ({
  id: jobId,
  namespaceId,
  at: finishedAt
})

const lineOf = (value: unknown, dataClass: DataClass) => {
  switch (dataClass) {
    case "logs":
      return Result.map(decodeLog(value), ({ log }): Line => ({ ...log, id: null }))
    case "incidents":
      return Result.map(decodeIncident(value), ({ incident }): Line => incident)
    case "rows":
      // Of all namespaces, as the manifest says.
      return Result.map(decodeRow(value), ({ row }): Line => ({
        id: row.job.id,
        namespaceId: null,
        at: row.finishedAt
      }))
    default:
      return isErased(value)
        ? Result.map(decodeErased(value), ({ erased }) => ofJob(erased))
        : Result.map(decodeJob(value), ({ record }) => ofJob(record))
  }
}

/** Classes whose lines are no records of jobs. */
const OTHERS: ReadonlySet<DataClass> = new Set<DataClass>(["logs", "incidents", "rows"])

const readLine = (bytes: Uint8Array, dataClass: DataClass): Result.Result<Line, Fault> => {
  const value = Result.try(() => JSON.parse(text.decode(bytes)) as unknown)
  if (Result.isFailure(value)) return Result.fail(broken("that is no JSON"))
  const version = decodeVersion(value.success)
  const later = Result.isSuccess(version) ? laterVersion(version.success.record.version, dataClass) : null
  if (later !== null) return Result.fail({ kind: "later", why: `of ${later}` })
  const line = lineOf(value.success, dataClass)
  if (Result.isSuccess(line)) return Result.succeed(line.success)
  const [issue] = format(line.failure.issue).issues
  const path = (issue?.path ?? []).map((step) => String(typeof step === "object" ? step.key : step)).join(".")
  const what = OTHERS.has(dataClass) ? `one of ${dataClass}` : "a job"
  return Result.fail(
    broken(`whose ${path === "" ? "whole" : path} is not what ${what} of version ${NEWEST_VERSION[dataClass]} has`)
  )
}
