/**
 * What finding, counting and taking along cost over many records: the 95th percentile of each search, sums over all of them, and an export beside the bare
 * cursor of the same store. `SEARCH_RECORDS` says how many (100,000); on SQLite in a folder, and with `SEARCH_MONGODB=1` on the server of `MONGODB_URL`.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { DatabaseSync } from "node:sqlite"
import { EventEmitter } from "node:events"
import { Effect, Layer, Redacted } from "effect"
import { MongoClient as Driver } from "mongodb"
import { openRecord } from "../src/actors/OpenRecord.ts"
import type { Call } from "../src/http/Call.ts"
import { FORMAT_NAMES } from "../src/http/ExportFormat.ts"
import { type Exported, exportJobs } from "../src/http/JobExport.ts"
import { JobRecords, type Scope } from "../src/layers/JobRecords.ts"
import { type JobFilter, JobSearch } from "../src/layers/JobSearch.ts"
import * as MongoRecords from "../src/layers/mongodb/MongoRecords.ts"
import * as SqliteClient from "../src/layers/sqlite/SqliteClient.ts"
import * as SqliteRecords from "../src/layers/sqlite/SqliteRecords.ts"
import { Credits, toDecimal } from "../src/schemas/Credits.ts"
import { OPERATOR_COLUMNS } from "../src/schemas/ExportColumns.ts"
import { JobId, KeyId, NamespaceId, NodeId } from "../src/schemas/Ids.ts"
import { type JobRecord, RECORD_VERSION } from "../src/schemas/JobRecord.ts"
import { type Line, megabytes, millis, quantile, rate, times } from "./support/Line.ts"
import { jobOf } from "./support/SampleJob.ts"

const RECORDS = Number(process.env["SEARCH_RECORDS"] ?? 100_000)
const ROUNDS = 200
const PAGE = 20
const EXPORT_TURNS = 5
const ASKED_MS = 50
const DAYS = 30 * 86_400_000
/** The jobs are of the days that end now, as they would be in a house at work. */
const BEGIN = Date.now() - DAYS
/** Text of one record: what a search for a word looks through. */
const PROMPT = "Say something of a few hundred characters. ".repeat(8)
const ANSWER = "An answer of one thousand characters or so, as models like to give. ".repeat(15)

const MODELS = ["llama-3.1-8b", "llama-3.1-70b", "qwen-2.5", "mistral-7b", "gemma-2", "phi-4", "tiny", "embed"]
const ENDPOINTS = ["chat", "completions", "embeddings"] as const
const MODES = ["sync", "polling", "stream"] as const
const STATES = [
  "completed",
  "completed",
  "completed",
  "completed",
  "failed",
  "cancelled",
  "timed_out",
  "expired"
] as const

const pick = <A>(values: ReadonlyArray<A>, at: number): A => values[at % values.length]!
const nodeAt = (at: number) => NodeId.make(`0x${(at % 50).toString(16).padStart(40, "0")}`)
const keyAt = (at: number) => KeyId.make(`key_${at % 100}`)
/** Half of all jobs are of the first one. */
const namespaceAt = (at: number) => NamespaceId.make(`ns_${at % 4 < 2 ? 0 : (at % 40) + 1}`)

const recordAt = (at: number): JobRecord => {
  const job = jobOf(JobId.make(`job_${at.toString(36).padStart(8, "0")}`), namespaceAt(at))
  // A stride without a common divisor, so that fields of neighbours differ.
  const drawn = (at * 7919) % RECORDS
  const state = pick(STATES, drawn)
  const opened = openRecord(
    {
      ...job,
      keyId: keyAt(drawn),
      model: pick(MODELS, drawn >> 1),
      endpoint: pick(ENDPOINTS, drawn),
      mode: pick(MODES, drawn >> 2),
      clientTag: `user-${drawn % 1000}`,
      acceptedAt: BEGIN + Math.floor((at * DAYS) / RECORDS)
    },
    {
      version: RECORD_VERSION,
      service: "network",
      errorCode: state === "failed" ? "node_lost" : null,
      requestedModel: job.model,
      request: { messages: [{ role: "user", content: drawn % 997 === 0 ? `${PROMPT} zebra` : PROMPT }] },
      workflow: null
    }
  )
  return {
    ...opened,
    state,
    completeness: "complete",
    finishedAt: opened.createdAt + 900,
    cost: Credits.make(BigInt(drawn % 5000)),
    routing: { ...opened.routing, nodeId: nodeAt(drawn) },
    system: { ...opened.system, queueMs: drawn % 50, firstTokenMs: drawn % 700, totalMs: drawn % 9000 },
    output: {
      kind: "text",
      choices: [{ choice: 0, text: ANSWER, finish: "stop" }],
      tokens: { prompt: 100, completion: 300, total: 400 },
      latencyMs: 900,
      sha256: "0".repeat(64)
    }
  }
}

const operator: Scope = { _tag: "Operator", by: "bench" }
const big: Scope = { _tag: "Namespace", namespaceId: namespaceAt(0) }

interface Question {
  readonly name: string
  readonly scope: Scope
  readonly filter: (at: number) => JobFilter
}

const anHour = (at: number) => {
  const from = BEGIN + ((at * 104_729) % 1000) * (DAYS / 1000)
  return { from, to: from + 3_600_000 }
}

const QUESTIONS: ReadonlyArray<Question> = [
  { name: "S73 model", scope: big, filter: (at) => ({ model: pick(MODELS, at) }) },
  { name: "S74 type", scope: big, filter: (at) => ({ endpoint: pick(ENDPOINTS, at) }) },
  { name: "S74 mode", scope: big, filter: (at) => ({ mode: pick(MODES, at) }) },
  { name: "S75 time", scope: big, filter: anHour },
  { name: "S75 time, all namespaces", scope: operator, filter: anHour },
  { name: "S76 user", scope: big, filter: (at) => ({ clientTag: `user-${at}` }) },
  { name: "S76 user, all namespaces", scope: operator, filter: (at) => ({ clientTag: `user-${at}` }) },
  { name: "key", scope: big, filter: (at) => ({ keyId: keyAt(at) }) },
  { name: "node, all namespaces", scope: operator, filter: (at) => ({ nodeId: nodeAt(at) }) },
  { name: "error", scope: big, filter: () => ({ errorCode: "node_lost" }) },
  {
    name: "state and model and a day",
    scope: big,
    filter: (at) => ({ ...anHour(at), to: anHour(at).from + 86_400_000, state: "failed", model: pick(MODELS, at) })
  },
  {
    name: "user and model and mode",
    scope: operator,
    filter: (at) => ({ clientTag: `user-${at}`, model: pick(MODELS, at), mode: pick(MODES, at) })
  }
]

const fill = Effect.gen(function* () {
  const { open } = yield* JobRecords
  const began = performance.now()
  yield* Effect.forEach(
    Array.from({ length: RECORDS }, (_, at) => at),
    (at) => open(recordAt(at)),
    {
      concurrency: 512,
      discard: true
    }
  )
  return (RECORDS * 1000) / (performance.now() - began)
})

const p95 = <E, R>(ask: (at: number) => Effect.Effect<unknown, E, R>, rounds = ROUNDS) =>
  Effect.gen(function* () {
    const took: Array<number> = []
    for (let at = 0; at < rounds; at++) {
      const began = performance.now()
      yield* ask(at)
      took.push(performance.now() - began)
    }
    return quantile(took, 0.95)
  })

/** How long the longest stretch was in which nobody else had a turn. */
const stalled = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    const value = yield* effect
    delay.disable()
    return { value, stallMs: delay.max / 1e6 }
  })

/** Takes whatever is written at once, and counts it. */
class Sink extends EventEmitter {
  headersSent = false
  writableEnded = false
  destroyed = false
  heapMax = 0
  writes = 0
  writeHead() {
    this.headersSent = true
  }
  write() {
    // Not each time: it takes longer than to write a page.
    if (++this.writes % 16 === 0) this.heapMax = Math.max(this.heapMax, process.memoryUsage().heapUsed)
    return true
  }
  end() {
    this.writableEnded = true
  }
}

const exported: Exported = {
  query: { scope: operator, filter: {}, text: undefined, owner: "operator" },
  columns: OPERATOR_COLUMNS,
  rowOf: (job) => ({ ...job, cost: job.cost === null ? null : toDecimal(job.cost) }),
  bodies: null
}

const exportRate = (format: (typeof FORMAT_NAMES)[number]) =>
  Effect.gen(function* () {
    const sink = new Sink()
    const call = { outgoing: sink, incoming: { method: "GET" }, answerHeaders: {} } as unknown as Call
    const heap = process.memoryUsage().heapUsed
    const began = performance.now()
    yield* exportJobs(call, { format }, exported)
    const perSecond = (RECORDS * 1000) / (performance.now() - began)
    return { perSecond, grown: sink.heapMax - heap }
  })

/** Rows a second of the store's own cursor over the same fields in the same order, with nothing made of them. */
type RawCursor = () => Promise<number>

/** How fast something reads rows that says how many they were. */
const rateOf = async (read: () => number | Promise<number>): Promise<number> => {
  const began = performance.now()
  const count = await read()
  return (count * 1000) / (performance.now() - began)
}

const measure = (store: string, raw: RawCursor) =>
  Effect.gen(function* () {
    const opened = yield* fill
    const search = yield* JobSearch
    const lines: Array<Line> = [
      { what: `${store}: records opened, ${RECORDS.toLocaleString("en")}`, value: rate(opened), against: "-" }
    ]
    for (const { name, scope, filter } of QUESTIONS) {
      let found = 0
      const ask = (at: number) =>
        Effect.map(search.search(scope, filter(at), null, PAGE), ({ length }) => void (found += length))
      const took = yield* p95(ask)
      const jobs = (found / ROUNDS).toFixed(1)
      lines.push({
        what: `${store}: ${name}, p95 (${jobs} jobs found on average)`,
        value: millis(took),
        against: `asked: ${millis(ASKED_MS)}`
      })
    }
    const word = (text: string) => p95(() => search.searchText(namespaceAt(0), {}, text, null, PAGE), 10)
    lines.push({ what: `${store}: a word that is common, p95`, value: millis(yield* word("answer")), against: "-" })
    const rare = yield* stalled(word("nowhere"))
    lines.push({
      what: `${store}: a word that is nowhere, one page of 5,000 looked at, p95`,
      value: millis(rare.value),
      against: `longest stall: ${millis(rare.stallMs)}`
    })
    for (const groupBy of [["model"], ["node"], ["model", "hour"]] as const) {
      const sums = yield* stalled(p95(() => search.stats(operator, { groupBy, from: 0, to: BEGIN + 2 * DAYS }), 3))
      lines.push({
        what: `${store}: sums by ${groupBy.join(" and ")} over all`,
        value: millis(sums.value),
        against: `longest stall: ${millis(sums.stallMs)}`
      })
    }
    for (const format of FORMAT_NAMES) {
      // In turns, and the best of each: whatever else the machine does comes and goes within a run.
      let [bare, perSecond, grown] = [0, 0, 0]
      for (let turn = 0; turn < EXPORT_TURNS; turn++) {
        bare = Math.max(bare, yield* Effect.promise(raw))
        const exported = yield* exportRate(format)
        perSecond = Math.max(perSecond, exported.perSecond)
        grown = Math.max(grown, exported.grown)
      }
      lines.push({
        what: `${store}: export as ${format}, rows; heap at most +${megabytes(Math.max(grown, 0))}`,
        value: rate(perSecond),
        against: `bare cursor: ${rate(bare)}`,
        ratio: times(perSecond / bare)
      })
    }
    return lines
  })

const onSqlite = async (): Promise<ReadonlyArray<Line>> => {
  const folder = mkdtempSync(join(tmpdir(), "bench-search-"))
  const path = join(folder, "resultity.db")
  const raw = async () => {
    const db = new DatabaseSync(path, { readOnly: true })
    const columns = `job_id, namespace_id, key_id, created_at, finished_at, state, error_code, endpoint, mode, model, priority, client_tag,
      node_id, prompt_tokens, output_tokens, cost, queue_ms, first_token_ms, total_ms`
    const rows = db.prepare(`SELECT ${columns} FROM record ORDER BY created_at DESC, job_id DESC`).iterate()
    const perSecond = await rateOf(() => {
      let count = 0
      for (const _ of rows) count++
      return count
    })
    db.close()
    return perSecond
  }
  const layer = Layer.provide(SqliteRecords.layer, SqliteClient.layer({ path }))
  try {
    return await Effect.runPromise(Effect.provide(measure("SQLite", raw), layer))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const onMongo = async (url: string): Promise<ReadonlyArray<Line>> => {
  const database = `bench_search_${process.pid}`
  const driver = await new Driver(url).connect()
  const raw = () => {
    const projection = Object.fromEntries(
      OPERATOR_COLUMNS.map(({ name }) => [name, 1]).filter(([name]) => name !== "jobId")
    )
    const rows = driver.db(database).collection("jobs").find({}, { projection }).sort({ createdAt: -1, _id: -1 })
    return rateOf(async () => {
      let count = 0
      for await (const _ of rows) count++
      return count
    })
  }
  try {
    const layer = MongoRecords.layer({ url: Redacted.make(url), database })
    return await Effect.runPromise(Effect.provide(measure("MongoDB", raw), layer))
  } finally {
    await driver.db(database).dropDatabase()
    await driver.close()
  }
}

export const run = async (): Promise<Array<Line>> => {
  const url = process.env["MONGODB_URL"]
  const lines = [...(await onSqlite())]
  if (process.env["SEARCH_MONGODB"] === "1" && url !== undefined) lines.push(...(await onMongo(url)))
  return lines
}
