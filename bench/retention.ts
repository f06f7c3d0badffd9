/**
 * How fast finished jobs leave the embedded store: marked, archived, read back, verified and deleted, whole and in two steps. Beside it what this machine
 * does with the same rows without any of the promises: read them, pack them, delete them.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { gzipSync } from "node:zlib"
import { Effect } from "effect"
import * as RetentionSweeper from "../src/actors/sweep/RetentionSweeper.ts"
import * as Backends from "../src/Backends.ts"
import { Archive } from "../src/layers/Archive.ts"
import { EntryRetention } from "../src/layers/EntryRetention.ts"
import { Incidents } from "../src/layers/Incidents.ts"
import { JobRecords } from "../src/layers/JobRecords.ts"
import { Logs } from "../src/layers/Logs.ts"
import { Namespaces } from "../src/layers/Namespaces.ts"
import { RecordRetention } from "../src/layers/RecordRetention.ts"
import { Settings } from "../src/layers/Settings.ts"
import { Traces } from "../src/layers/Traces.ts"
import { openRecord } from "../src/actors/OpenRecord.ts"
import { freshJobId, freshNamespaceId, type JobId, type NamespaceId } from "../src/schemas/Ids.ts"
import { RECORD_VERSION } from "../src/schemas/JobRecord.ts"
import { defaultRules } from "../src/schemas/Namespace.ts"
import { type Line, rate, times } from "./support/Line.ts"
import { jobOf } from "./support/SampleJob.ts"

const JOBS = 8_000
const BATCH = 500
const DAY_MS = 86_400_000
const WORDS = "the answer of a model is a few hundred words of which none says much ".repeat(12)

/** As old as the archive wants it, with 48 pieces in three chunks and two entries in the log. */
const oldJob = Effect.fnUntraced(function* (jobId: JobId, namespaceId: NamespaceId, at: number) {
  const request = { model: "m", messages: [{ role: "user", content: WORDS }] }
  const about = {
    version: RECORD_VERSION,
    service: "network",
    errorCode: null,
    requestedModel: "m",
    request,
    workflow: null
  } as const
  const opened = openRecord(jobOf(jobId, namespaceId), about)
  yield* (yield* JobRecords).open({
    ...opened,
    state: "completed",
    completeness: "complete",
    createdAt: at - 5,
    finishedAt: at,
    output: {
      kind: "text",
      choices: [{ choice: 0, text: WORDS, finish: "stop" }],
      tokens: { prompt: 100, completion: 48, total: 148 },
      latencyMs: 5,
      sha256: "0".repeat(64)
    }
  })
  for (const from of [0, 16, 32]) {
    const events = Array.from({ length: 16 }, (_, n) => ({ seq: from + n + 1, choice: 0, text: "word ", offsetMs: n }))
    yield* (yield* Traces).append({ jobId, epoch: 1, attempt: 1, events })
  }
  const entry = { namespaceId, type: "execution", at, jobId, nodeId: null, data: { tokens: 48 } } as const
  yield* (yield* Logs).append([
    { ...entry, code: "begun" },
    { ...entry, code: "ended" }
  ])
})

const filled = Effect.fnUntraced(function* (days: number, retentionDays: number | null) {
  const id = yield* freshNamespaceId
  const rules = { ...defaultRules, retentionDays }
  yield* (yield* Namespaces).create({ id, name: id, environment: "testnet", rules, createdAt: 1 })
  const at = Date.now() - days * DAY_MS
  const each = (n: number) => Effect.flatMap(freshJobId, (jobId) => oldJob(jobId, id, at + n))
  yield* Effect.forEach(
    Array.from({ length: JOBS }, (_, n) => n),
    each,
    { concurrency: 256, discard: true }
  )
})

/** Milliseconds of one pass, and how many it let go. */
const sweep = Effect.gen(function* () {
  const sweeper = RetentionSweeper.make({
    namespaces: yield* Namespaces,
    retention: yield* RecordRetention,
    entries: yield* EntryRetention,
    archive: yield* Archive,
    incidents: yield* Incidents,
    settings: yield* Settings,
    desk: { completed: Effect.succeed }
  })
  const from = performance.now()
  let taken = 0
  for (let last = BATCH; last >= BATCH; taken += last) {
    last = (yield* sweeper.sweepBatch(null, BATCH, false)).taken
  }
  return { ms: performance.now() - from, taken }
})

const inFolder = async <A>(use: (folder: string) => Promise<A>): Promise<A> => {
  const folder = mkdtempSync(join(tmpdir(), "resultity-bench-"))
  try {
    return await use(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const measure = (days: number, retentionDays: number | null): Promise<number> =>
  inFolder((folder) =>
    Effect.runPromise(
      Effect.andThen(filled(days, retentionDays), sweep).pipe(
        Effect.map(({ ms, taken }) => (taken * 1000) / ms),
        Effect.provide(Backends.embedded(folder))
      )
    )
  )

/** The same rows, read, packed into a file and deleted in batches, and nothing else. */
const bare = (): Promise<number> =>
  inFolder(async (folder) => {
    await Effect.runPromise(Effect.provide(filled(40, 20), Backends.embedded(folder)))
    const db = new DatabaseSync(join(folder, "resultity.db"))
    const read = db.prepare(`SELECT r.*, i.body AS input, o.body AS output,
      (SELECT group_concat(body) FROM trace_chunk WHERE job_id = r.job_id) AS pieces
      FROM record AS r JOIN record_input AS i USING (number) JOIN record_output AS o USING (number) LIMIT ${BATCH}`)
    const from = performance.now()
    for (let batch = 0; batch < JOBS / BATCH; batch++) {
      const rows = read.all()
      writeFileSync(join(folder, `${batch}.gz`), gzipSync(rows.map((row) => `${JSON.stringify(row)}\n`).join("")), {
        flush: true
      })
      db.exec("BEGIN")
      const ids = rows.map((row) => `'${String(row["job_id"])}'`).join(",")
      for (const table of ["trace_chunk", "trace", "log", "record"])
        db.exec(`DELETE FROM ${table} WHERE job_id IN (${ids})`)
      db.exec("COMMIT")
    }
    const perSecond = (JOBS * 1000) / (performance.now() - from)
    db.close()
    return perSecond
  })

export const run = async (): Promise<Array<Line>> => {
  const baseline = await bare()
  const whole = await measure(40, 20)
  const steps = await measure(40, null)
  const against = `${rate(baseline)} read, packed and deleted`
  return [
    {
      what: "retention: jobs archived, verified and pruned (asked: 2,000/s)",
      value: rate(whole),
      against,
      ratio: times(whole / baseline)
    },
    {
      what: "retention: bodies archived, verified and stripped",
      value: rate(steps),
      against,
      ratio: times(steps / baseline)
    }
  ]
}

if (import.meta.main) console.table(await run())
