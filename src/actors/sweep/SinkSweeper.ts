/**
 * Sends finished jobs on to one place, oldest first, as files of NDJSON, without prompt and answer. A file is written whole before the watermark moves
 * behind it, and named for where it begins and ends: who dies in between writes the same jobs again, under the same name or, when more have come, under
 * another one with the same beginning. A leader that was overtaken can so add a file, and take nothing from one.
 */
import { createHash } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { JobSearch, JobSummary } from "../../layers/JobSearch.ts"
import type { JobSink } from "../../layers/JobSinks.ts"
import { toDecimal } from "../../schemas/Credits.ts"
import type { Options } from "./Sweeper.ts"

/** A job whose record is closed later than this after its end is left out here. Its row was, then, in the hands of a daemon that died in an outage. */
export const SETTLED_MS = 5 * 60_000

const Place = Schema.Struct({ at: Schema.Finite, id: Schema.String })
type Place = typeof Place.Type
const isPlace = Schema.is(Place)

const BEGINNING: Place = { at: 0, id: "" }

/** One for each place: one that is away keeps no other waiting. */
export const make = (search: Pick<JobSearch["Service"], "finished">, sink: JobSink): Options => ({
  name: sinkSweeperName(sink.name),
  everyMs: 60_000,
  batchMax: 1000,
  sweepBatch: (watermark, max, dryRun) =>
    Effect.gen(function* () {
      const after = isPlace(watermark) ? watermark : BEGINNING
      const before = (yield* Clock.currentTimeMillis) - SETTLED_MS
      const jobs = yield* search.finished(after, before, max)
      const last = jobs.at(-1)
      const detail = { place: sink.name, at: last?.finishedAt ?? after.at }
      if (last === undefined || dryRun) return { taken: jobs.length, watermark, detail }
      const end = { at: last.finishedAt ?? after.at, id: last.jobId }
      yield* sink.put(fileName(after, end), Buffer.from(jobs.map(lineOf).join("")))
      return { taken: jobs.length, watermark: end, detail }
    })
})

/** Sweepers are named in plain characters; a place may be written in any. */
export const sinkSweeperName = (place: string): string =>
  `sink-${createHash("sha256").update(place).digest("hex").slice(0, 8)}`

/** Sorted by name, files are in the order of time. */
const fileName = (begin: Place, end: Place): string => `jobs-${wordOf(begin)}-${wordOf(end)}.ndjson`

const wordOf = ({ at, id }: Place): string => `${String(at).padStart(13, "0")}${id === "" ? "" : `-${id}`}`

const lineOf = (job: JobSummary): string =>
  `${JSON.stringify({ ...job, cost: job.cost === null ? null : toDecimal(job.cost) })}\n`
