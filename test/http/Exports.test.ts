/** Jobs as a file: rows that equal the search, cells that no spreadsheet runs, going on behind any row, and nothing that is not the reader's to see. */
import { assert, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema, Stream } from "effect"
import { Csv } from "effect/encoding"
import { parquetReadObjects } from "hyparquet"
import { JobRecords } from "../../src/layers/JobRecords.ts"
import type { JobRecord } from "../../src/schemas/JobRecord.ts"
import { aFinishedRecord, aJobId, aNodeId, aRecord, credits } from "../support/factories.ts"
import { ask as askAs, makeWorld, World } from "./World.ts"

const askControl = (path: string, wishes: Parameters<typeof askAs>[1] = {}) =>
  Effect.flatMap(World, ({ control }) => askAs(`${control}${path}`, { key: null, ...wishes }))

const open = (record: JobRecord) => Effect.flatMap(JobRecords, (records) => records.open(record))

/** Jobs of the caller's namespace at these times; `over` by their place. */
const place = Effect.fnUntraced(function* (
  times: ReadonlyArray<number>,
  over: (at: number) => Partial<JobRecord> = () => ({})
) {
  const { namespace } = yield* World
  const records = times.map((createdAt, at) =>
    aFinishedRecord(createdAt + 9, { jobId: aJobId(), namespaceId: namespace.id, createdAt, ...over(at) })
  )
  yield* Effect.forEach(records, open, { concurrency: 64, discard: true })
  return records
})

/** Read by a decoder that knows nothing of who wrote it. */
const readCsv = (text: string) =>
  Effect.map(
    Stream.make(text).pipe(Stream.pipeThroughChannel(Csv.decodeString()), Stream.runCollect),
    (rows) => rows as ReadonlyArray<ReadonlyArray<string>>
  )

/** Read by a reader of the format that knows nothing of who wrote it. */
const readParquet = (file: ArrayBuffer) =>
  Effect.promise(() => parquetReadObjects({ file }) as Promise<Array<Record<string, unknown>>>)

const askBytes = (path: string) =>
  Effect.flatMap(World, ({ url, key }) =>
    Effect.promise(async () => {
      const response = await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${key}` } })
      return { headers: response.headers, bytes: await response.arrayBuffer() }
    })
  )

interface Line {
  readonly id: string
  readonly cursor: string
}
const linesOf = (text: string): ReadonlyArray<Line & Readonly<Record<string, unknown>>> =>
  text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line))

const HEADER =
  "id,created_at,finished_at,state,error_code,endpoint,mode,model,priority,user,key_id,prompt_tokens,output_tokens,cost,queue_ms,first_token_ms,total_ms,cursor"

const DANGEROUS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1", '="a",b\r\n"', "\u00a0@x"]
const NastyText = Arbitrary.schema(
  Schema.Union([
    Schema.Literals(DANGEROUS as [string, ...Array<string>]),
    Schema.Literals(['a "quoted" word', "a,b", "two\nlines", "two\r\nlines", "", "plain", "ü\u2028😀"]),
    Schema.String
  ])
)

it.effect("S80: a job is one record of a CSV with a header, times in ISO 8601 and credits as decimals", () =>
  Effect.gen(function* () {
    const [record] = yield* place([1_700_000_000_000], () => ({ clientTag: "u-1", cost: credits(1_500_000) }))
    const { status, headers, text } = yield* askAs("/v1/jobs/export?format=csv")
    assert.strictEqual(status, 200)
    assert.strictEqual(headers.get("content-type"), "text/csv; charset=utf-8; header=present")
    assert.match(headers.get("content-disposition") ?? "", /filename="jobs\.csv"/)
    const [head, line, rest] = text.split("\r\n")
    assert.deepStrictEqual([head, rest], [HEADER, ""])
    assert.match(
      line!,
      new RegExp(
        `^${record!.jobId},2023-11-14T22:13:20\\.000Z,2023-11-14T22:13:20\\.009Z,completed,,chat,\\w+,[\\w-]+,normal,u-1,${record!.keyId},3,4,1\\.5,,,,[\\w.-]+$`
      )
    )
  }).pipe(Effect.provide(makeWorld()))
)

it.effect.prop(
  "S80: whatever stands in a job comes back out of the CSV, a row for each job of the search, and no cell begins a formula",
  { texts: Arbitrary.array(NastyText, { minLength: 1, maxLength: 12 }) },
  ({ texts }) =>
    Effect.gen(function* () {
      const stored = texts.map((text) => text.toWellFormed().replaceAll("\u0000", ""))
      yield* place(
        stored.map((_, at) => 1_000 + at),
        (at) => ({ clientTag: stored[at]! })
      )
      const [head, ...rows] = yield* readCsv((yield* askAs("/v1/jobs/export?format=csv")).text)
      assert.strictEqual(head?.join(","), HEADER)
      assert.strictEqual(rows.length, stored.length)
      const column = head!.indexOf("user")
      rows.forEach((row, at) => {
        const [cell, was] = [row[column]!, stored.at(-1 - at)!]
        assert.notMatch(cell, /^(?:[\t\r\n]|\s*[=+\-@＝＋－＠])/u)
        assert.include([was, `'${was}`], cell)
        assert.strictEqual(cell.startsWith("'"), was.startsWith("'") || cell !== was)
      })
    }).pipe(Effect.provide(makeWorld())),
  { arbitrary: { runs: 40 } }
)

it.effect.prop(
  "S79: an export that broke off anywhere goes on behind its last whole row, without gap or repeat, also when jobs arrive",
  {
    times: Arbitrary.array(Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 6 }))), {
      minLength: 1,
      maxLength: 20
    }),
    cut: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 20 }))),
    format: Schema.Literals(["csv", "ndjson"]),
    word: Schema.NullOr(Schema.Literal("hello"))
  },
  ({ times, cut, format, word }) =>
    Effect.gen(function* () {
      yield* place(times)
      const path = `/v1/jobs/export?format=${format}${word === null ? "" : `&text=${word}`}`
      const rowsOf = Effect.fnUntraced(function* (query: string) {
        const { text } = yield* askAs(`${path}${query}`)
        if (format === "ndjson") return linesOf(text).map(({ id, cursor }) => ({ id, cursor }))
        const rows = (yield* readCsv(text)).filter(([id]) => id !== "id" && id !== "")
        return rows.map((row) => ({ id: row[0]!, cursor: row.at(-1)! }))
      })
      const whole = yield* rowsOf("")
      assert.strictEqual(whole.length, times.length)
      const before = whole.slice(0, Math.min(cut, whole.length))
      yield* place([7, 8])
      const rest = yield* rowsOf(`&after=${before.at(-1)!.cursor}`)
      assert.deepStrictEqual([...before, ...rest], whole)
    }).pipe(Effect.provide(makeWorld())),
  { arbitrary: { runs: 40 } }
)

it.effect("A continued CSV has no header, so it can stand behind what is there", () =>
  Effect.gen(function* () {
    yield* place([1, 2])
    const { text } = yield* askAs("/v1/jobs/export?format=csv")
    const cursor = text.split("\r\n")[1]!.split(",").at(-1)!
    const rest = yield* askAs(`/v1/jobs/export?format=csv&after=${cursor}`)
    assert.strictEqual(rest.headers.get("content-type"), "text/csv; charset=utf-8; header=absent")
    assert.strictEqual(`${text.split("\r\n").slice(0, 2).join("\r\n")}\r\n${rest.text}`, text)
    const head = yield* askAs("/v1/jobs/export?format=csv", { method: "HEAD" })
    assert.deepStrictEqual([head.status, head.text], [200, ""])
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("An export has every job of many pages, and an empty one has its header alone", () =>
  Effect.gen(function* () {
    const records = yield* place(Array.from({ length: 1203 }, (_, at) => at + 1))
    const lines = linesOf((yield* askAs("/v1/jobs/export")).text)
    assert.deepStrictEqual(
      lines.map(({ id }) => id),
      records.map(({ jobId }) => jobId as string).toReversed()
    )
    assert.strictEqual((yield* askAs("/v1/jobs/export?format=csv&model=none")).text, `${HEADER}\r\n`)
    assert.strictEqual((yield* askAs("/v1/jobs/export?model=none")).text, "")
    assert.lengthOf(linesOf((yield* askAs("/v1/jobs/export?from=5&to=9")).text), 4)
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("C73: requests, answers and vectors are in the file when they are asked for, and otherwise not", () =>
  Effect.gen(function* () {
    yield* place([1], () => {
      const { input, output } = aFinishedRecord(1)
      return {
        input: { ...input, endpoint: "embeddings", request: { input: "secret words" } },
        output: {
          ...output!,
          kind: "vector",
          choices: [{ choice: 0, text: "", extra: { embedding: [0.5] }, finish: null }]
        }
      }
    })
    const plain = yield* askAs("/v1/jobs/export")
    assert.notMatch(plain.text, /secret|embedding"|0\.5|choices/)
    const [line] = linesOf((yield* askAs("/v1/jobs/export?include=output,request")).text)
    assert.deepStrictEqual(line?.["request"], { input: "secret words" })
    assert.deepStrictEqual(line?.["output"], [{ choice: 0, text: "", extra: { embedding: [0.5] }, finish: null }])
    const [head, row] = yield* readCsv((yield* askAs("/v1/jobs/export?format=csv&include=request")).text)
    assert.strictEqual(head?.join(","), HEADER.replace(",cursor", ",request,cursor"))
    assert.strictEqual(row?.at(-2), '{"input":"secret words"}')
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("C45: a customer's export names no node and asks for none; an operator's has no text and asks for none", () =>
  Effect.gen(function* () {
    const nodeId = aNodeId()
    const { routing } = aRecord()
    yield* place([1], () => ({ routing: { ...routing, nodeId } }))
    for (const query of ["", "&format=csv", "&include=request,output"]) {
      assert.notInclude((yield* askAs(`/v1/jobs/export?from=0&to=9${query}`)).text, nodeId)
    }
    assert.strictEqual((yield* askAs(`/v1/jobs/export?node=${nodeId}`)).body.error.param, "node")
    assert.strictEqual((yield* askAs(`/v1/jobs?node=${nodeId}`)).body.error.param, "node")
    const ours = yield* askControl(`/control/jobs/export?node=${nodeId}`)
    assert.include(ours.text, nodeId)
    assert.notMatch(ours.text, /hello|hi\b|request"|choices/)
    for (const [query, param] of [
      ["include=request", "include"],
      ["text=hello", "text"]
    ]) {
      const answer = yield* askControl(`/control/jobs/export?${query}`)
      assert.deepStrictEqual([answer.status, answer.body.error.param], [400, param])
    }
    assert.strictEqual((yield* askControl("/control/jobs?text=hello")).body.error.param, "text")
  }).pipe(Effect.provide(makeWorld()))
)

it.effect(
  "S72: an export is the namespace's own, and so are its cursors; an operator's leaves a row in the audit",
  () =>
    Effect.gen(function* () {
      const world = yield* World
      yield* place([1, 2])
      const [line] = linesOf((yield* askAs("/v1/jobs/export")).text)
      assert.strictEqual((yield* askAs("/v1/jobs/export", { key: world.otherKey })).text, "")
      const stolen = yield* askAs(`/v1/jobs/export?after=${line!.cursor}`, { key: world.otherKey })
      assert.deepStrictEqual([stolen.status, stolen.body.error.param], [400, "after"])

      yield* askControl(`/control/jobs/export?namespace=${world.namespace.id}`, {
        headers: { "x-reason": "dispute 7" }
      })
      const { text } = yield* askControl("/control/audit")
      assert.match(
        text,
        new RegExp(`"action":"jobs.export","subject":"namespace/${world.namespace.id}","reason":"dispute 7"`)
      )
    }).pipe(Effect.provide(makeWorld()))
)

it.effect("Bad wishes are refused by name before a byte of the file is written", () =>
  Effect.gen(function* () {
    for (const [query, param] of [
      ["format=xml", "format"],
      ["include=moments", "include"],
      ["after=abc", "after"],
      ["limit=5", "limit"],
      ["cursor=abc", "cursor"],
      ["key=nobody", "key"]
    ]) {
      const answer = yield* askAs(`/v1/jobs/export?${query}`)
      assert.deepStrictEqual([answer.status, answer.body.error.param], [400, param], query)
    }
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("A customer finds jobs by key, error and a word of prompt or answer, page by page", () =>
  Effect.gen(function* () {
    const world = yield* World
    const { input } = aRecord()
    const records = yield* place([1, 2, 3, 4], (at) => ({
      errorCode: at === 0 ? "node_lost" : null,
      input: { ...input, request: { messages: [{ role: "user", content: at < 3 ? "Grüße aus Wien" : "nothing" }] } }
    }))
    yield* open(
      aRecord({
        jobId: aJobId(),
        namespaceId: world.other.id,
        createdAt: 5,
        input: { ...input, request: { prompt: "grüße" } }
      })
    )
    const ids = (answer: { readonly text: string }) =>
      (JSON.parse(answer.text).data as ReadonlyArray<Line>).map(({ id }) => id)
    assert.deepStrictEqual(ids(yield* askAs("/v1/jobs?error=node_lost")), [records[0]!.jobId])
    assert.deepStrictEqual(ids(yield* askAs(`/v1/jobs?key=${records[1]!.keyId}`)), [records[1]!.jobId])
    const first = yield* askAs(`/v1/jobs?text=${encodeURIComponent("GRÜSSE".replace("SS", "ß"))}&limit=2`)
    assert.deepStrictEqual(ids(first), [records[2]!.jobId, records[1]!.jobId])
    const { next_cursor: next, has_more: more } = JSON.parse(first.text)
    assert.isTrue(more)
    const second = yield* askAs(`/v1/jobs?text=${encodeURIComponent("grüße")}&limit=2&cursor=${next}`)
    assert.deepStrictEqual(ids(second), [records[0]!.jobId])
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("S80: a Parquet has the rows of the NDJSON, with times, integers and credits as what they are", () =>
  Effect.gen(function* () {
    yield* place([1_700_000_000_000, 1_700_000_000_001, 1_700_000_000_002], (at) => ({
      clientTag: at === 1 ? null : `u-${at}`,
      cost: at === 2 ? null : credits(1_234_567_890_123)
    }))
    const { bytes, headers } = yield* askBytes("/v1/jobs/export?format=parquet&include=request")
    assert.strictEqual(headers.get("content-type"), "application/vnd.apache.parquet")
    const rows = yield* readParquet(bytes)
    const lines = linesOf((yield* askAs("/v1/jobs/export?include=request")).text)
    assert.deepStrictEqual(
      rows.map((row) => ({
        ...row,
        created_at: (row["created_at"] as Date).getTime(),
        finished_at: (row["finished_at"] as Date).getTime(),
        prompt_tokens: Number(row["prompt_tokens"]),
        output_tokens: Number(row["output_tokens"]),
        cost: row["cost"] === null ? null : "1234567.890123"
      })),
      lines as never
    )
    assert.strictEqual(rows[1]?.["cost"], 1_234_567.890123)
    const empty = yield* askBytes("/v1/jobs/export?format=parquet&model=none")
    assert.deepStrictEqual(yield* readParquet(empty.bytes), [])
  }).pipe(Effect.provide(makeWorld()))
)
