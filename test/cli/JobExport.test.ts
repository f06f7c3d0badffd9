/** `jobs export`: into a pipe, into a file, and into one that broke off at any byte. */
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema, Stream } from "effect"
import { Csv } from "effect/encoding"
import { parquetReadObjects } from "hyparquet"
import { lineOf } from "../../src/cli/export/Progress.ts"
import { temporaryFolder } from "../support/Process.ts"
import { callAt, fake, type FakeControl } from "./FakeControl.ts"

const cursorOf = (at: number) => Buffer.from(`cursor of job ${at}, and a check`).toString("base64url")

interface Job {
  readonly tag: string
  readonly cursor: string
}

const NDJSON = (jobs: ReadonlyArray<Job>) => jobs.map((job) => `${JSON.stringify(job)}\n`).join("")

const CSV = (jobs: ReadonlyArray<Job>, headers: boolean) =>
  Effect.runSync(
    Stream.fromIterable(jobs).pipe(
      Stream.map(({ tag, cursor }) => ({ tag, cursor })),
      Stream.pipeThroughChannel(Csv.encodeString({ columns: ["tag", "cursor"], headers })),
      Stream.mkString
    )
  )

/** Answers with what lies behind the cursor that is asked for; the first time only so many bytes of it. */
const serve = (control: FakeControl, jobs: ReadonlyArray<Job>, format: "csv" | "ndjson", bytes: number | null) =>
  control.answer((response, { path }) => {
    const after = new URL(path, "http://x").searchParams.get("after")
    const rest = after === null ? jobs : jobs.slice(jobs.findIndex(({ cursor }) => cursor === after) + 1)
    const body = Buffer.from(format === "csv" ? CSV(rest, after === null) : NDJSON(rest))
    response.writeHead(200, { "content-type": format === "csv" ? "text/csv" : "application/x-ndjson" })
    if (bytes === null) return void response.end(body)
    response.write(body.subarray(0, bytes), () => response.destroy())
    if (bytes === 0) response.flushHeaders()
  })

const jobs = ["a", "two\r\nlines", '"quoted, indeed"', "ü\n\n"].map((tag, at) => ({ tag, cursor: cursorOf(at) }))

describe("jobs export", () => {
  it.live("hands the rows on as they come, without a file", () =>
    Effect.gen(function* () {
      const control = yield* fake
      serve(control, jobs, "ndjson", null)
      const { exit, out } = yield* callAt(control, "jobs", "export", "--status", "failed", "--node", "0xAB")
      assert.deepStrictEqual([exit, out], [0, NDJSON(jobs)])
      assert.strictEqual(control.asked[0]?.path, "/control/jobs/export?status=failed&node=0xab&format=ndjson")
      assert.strictEqual(control.asked[0]?.headers["x-actor"], "cli")
    })
  )

  it.live("S80: writes a file that has its name when it is whole, and says how many jobs are in it", () =>
    Effect.gen(function* () {
      const control = yield* fake
      const file = join(temporaryFolder(), "jobs.csv")
      serve(control, jobs, "csv", null)
      const { exit, out } = yield* callAt(control, "jobs", "export", "--output", file)
      assert.strictEqual(exit, 0)
      assert.match(out, /^4 jobs in \S+jobs\.csv; \d+ B fetched now\.\n$/)
      assert.strictEqual(readFileSync(file, "utf8"), CSV(jobs, true))
      assert.isFalse(existsSync(`${file}.part`))
      assert.include(control.asked[0]?.path, "format=csv")

      const again = yield* callAt(control, "jobs", "export", "--output", file)
      assert.deepStrictEqual([again.exit, again.out], [5, ""])
      assert.match(again.err, /is there already/)
      const resumed = yield* callAt(control, "jobs", "export", "--output", file, "--resume")
      assert.deepStrictEqual([resumed.exit, control.asked.length], [0, 1])
    })
  )

  it.live.prop(
    "S79: goes on behind the last whole row of a file that broke off at any byte, and the file is as if it had not",
    {
      tags: Arbitrary.array(
        Arbitrary.schema(
          Schema.Literals(["plain", 'a "b"', "two\nlines", "x\r\n", `fake,${cursorOf(77)}\r\n`, "", "ü"])
        ),
        { minLength: 1, maxLength: 8 }
      ),
      share: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1000 }))),
      format: Schema.Literals(["csv", "ndjson"])
    },
    ({ tags, share, format }) =>
      Effect.gen(function* () {
        const control = yield* fake
        const file = join(temporaryFolder(), "jobs")
        const all = tags.map((tag, at) => ({ tag, cursor: cursorOf(at) }))
        const whole = format === "csv" ? CSV(all, true) : NDJSON(all)
        writeFileSync(
          `${file}.part`,
          Buffer.from(whole).subarray(0, Math.floor((Buffer.byteLength(whole) * share) / 1000))
        )
        serve(control, all, format, null)
        const argv = ["jobs", "export", "--format", format, "--output", file]
        const refused = yield* callAt(control, ...argv)
        assert.strictEqual(refused.exit, 5)
        const { exit, out } = yield* callAt(control, ...argv, "--resume", "--json")
        assert.strictEqual(exit, 0)
        assert.strictEqual(JSON.parse(out).rows, tags.length)
        assert.strictEqual(readFileSync(file, "utf8"), whole)
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 60 } }
  )

  it.live("S79: a Parquet comes as NDJSON, so one that broke off is gone on with, and is made when it is whole", () =>
    Effect.gen(function* () {
      const control = yield* fake
      const file = join(temporaryFolder(), "jobs.parquet")
      const rows = [1, 2, 3].map((at) => ({ jobId: `job_${at}`, createdAt: at, cost: `${at}.5`, cursor: cursorOf(at) }))
      const text = rows.map((row) => `${JSON.stringify(row)}\n`).join("")
      writeFileSync(`${file}.part`, text.slice(0, text.length / 2))
      control.answer((response, { path }) => {
        const after = new URL(path, "http://x").searchParams.get("after")
        response.end(text.slice(text.indexOf("\n", text.indexOf(after!)) + 1))
      })
      const { exit, out } = yield* callAt(control, "jobs", "export", "--output", file, "--resume")
      assert.strictEqual(exit, 0)
      assert.match(out, /^3 jobs in \S+jobs\.parquet, 1 of them from before; /)
      assert.include(control.asked[0]?.path, "format=ndjson")
      const { buffer, byteOffset, byteLength } = readFileSync(file)
      const read = yield* Effect.promise(() =>
        parquetReadObjects({ file: buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer })
      )
      assert.deepStrictEqual(
        read.map(({ jobId, createdAt, cost, nodeId, cursor }) => [jobId, createdAt.getTime(), cost, nodeId, cursor]),
        rows.map(({ jobId, createdAt, cost, cursor }) => [jobId, createdAt, Number(cost), null, cursor])
      )
      assert.isFalse(existsSync(`${file}.part`))
    })
  )

  it.live("says how to go on when the daemon goes away in the middle", () =>
    Effect.gen(function* () {
      const control = yield* fake
      const file = join(temporaryFolder(), "jobs.ndjson")
      serve(control, jobs, "ndjson", NDJSON(jobs.slice(0, 2)).length + 5)
      const cut = yield* callAt(control, "jobs", "export", "--output", file)
      assert.strictEqual(cut.exit, 3)
      assert.match(cut.err, /2 jobs in \S+jobs\.ndjson\.part: go on with the same command and --resume/)
      assert.isFalse(existsSync(file))
      serve(control, jobs, "ndjson", null)
      const { out } = yield* callAt(control, "jobs", "export", "--output", file, "--resume")
      assert.match(out, /^4 jobs in .*, 2 of them from before; /)
      assert.strictEqual(readFileSync(file, "utf8"), NDJSON(jobs))
    })
  )

  it.live("leaves nothing in the way when nothing came", () =>
    Effect.gen(function* () {
      const control = yield* fake
      const file = join(temporaryFolder(), "jobs.csv")
      assert.strictEqual((yield* callAt(control, "jobs", "export", "--output", file)).exit, 4)
      assert.isFalse(existsSync(`${file}.part`))
      control.answer({ text: "", type: "application/x-ndjson" })
      assert.strictEqual((yield* callAt(control, "jobs", "export", "--output", file)).exit, 0)
      assert.strictEqual(readFileSync(file, "utf8"), "")
    })
  )

  it.live("needs a file to go on with", () =>
    Effect.gen(function* () {
      const control = yield* fake
      assert.strictEqual((yield* callAt(control, "jobs", "export", "--resume")).exit, 2)
    })
  )

  it("shows rows, bytes and rates", () => {
    assert.strictEqual(lineOf({ rows: 3000, bytes: 1_500_000, ms: 2000 }), "3000 rows, 1.5 MB, 1500 rows/s, 750.0 kB/s")
  })
})
