/** What happened, taken along from real daemons: the commands of the page as they stand there, and a file whose daemon was killed in the middle. */
import { randomBytes } from "node:crypto"
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { get } from "node:http"
import { join } from "node:path"
import { onTestFinished } from "vitest"
import { JobRecords } from "../../src/layers/JobRecords.ts"
import * as S3Archive from "../../src/layers/s3/S3Archive.ts"
import * as SqliteClient from "../../src/layers/sqlite/SqliteClient.ts"
import * as SqliteRecords from "../../src/layers/sqlite/SqliteRecords.ts"
import { openShell } from "../layers/s3/S3Shell.ts"
import { ask, startDaemon } from "../support/Daemon.ts"
import { allActive } from "../support/Nodes.ts"
import { aClone, blocksOf, leading } from "../support/PrintedCommands.ts"
import { COMMAND, run, temporaryFolder } from "../support/Process.ts"
import { until } from "../support/Until.ts"
import { aFinishedRecord } from "../support/recordFactories.ts"

const S3_URL = process.env["S3_URL"]

it.live(
  "the page on exports shows commands that work as they are",
  () =>
    Effect.promise(async () => {
      const folder = aClone()
      const daemon = await startDaemon({ data: join(folder, "data"), nodes: ["swift"] })
      await allActive(daemon, ["swift"])
      const { status } = await ask(daemon, "POST", "/v1/chat/completions", {
        body: { model: "sim-small", messages: [{ role: "user", content: "Hello!" }] }
      })
      assert.strictEqual(status, 200)
      const env = {
        ...leading(folder, [
          ["127.0.0.1:8400", daemon.url],
          ["127.0.0.1:8401", daemon.controlUrl]
        ]),
        RESULTITY_CONTROL_URL: daemon.controlUrl,
        KEY: daemon.key
      }
      const said: Array<string> = []
      for (const block of blocksOf("docs/operations/exports.md")) {
        const name = block.split("\n")[0] ?? ""
        const command = run(name, ["-e", "-c", block], { command: "bash", cwd: folder, env })
        assert.strictEqual((await command.exited).code, 0, `${block}\n${command.lines.join("\n")}`)
        said.push(command.lines.join("\n"))
      }
      assert.match(said[0]!, /"model":"sim-small","state":"completed"/)
      assert.match(said[1]!, /sim-small +\d{4}-\d\d-\d\d +1 +1 +0 +0\.0%/)
      assert.match(said[2]!, /1 job in november\.csv/)
      assert.match(said[2]!, /november\.csv is whole already/)
      assert.match(readFileSync(join(folder, "mine.csv"), "utf8"), /^id,created_at,[^]*completed,,chat,sync,sim-small/)
    }),
  60_000
)

/** Records of jobs that ended long ago, in the folder of a daemon that is yet to come. */
const fill = (data: string, jobs: number) => {
  const store = Layer.provide(SqliteRecords.layer, SqliteClient.layer({ path: join(data, "resultity.db") }))
  const records = Array.from({ length: jobs }, (_, at) => aFinishedRecord(2_000 + at, { createdAt: 1_000 + (at >> 2) }))
  const all = Effect.flatMap(JobRecords, ({ open }) =>
    Effect.forEach(records, open, { concurrency: 512, discard: true })
  )
  return Effect.runPromise(Effect.as(Effect.provide(all, store), records))
}

const JOBS = 20_000

/** Reads so much of an answer and then no more: the daemon has to wait. */
const readSome = (url: string, bytes: number) =>
  new Promise<{ readonly read: Buffer; readonly gone: Promise<void> }>((resolve, reject) => {
    get(url, (response) => {
      const pieces: Array<Buffer> = []
      let size = 0
      const gone = new Promise<void>((ended) => void response.on("error", () => ended()).on("close", () => ended()))
      response.on("data", (piece: Buffer) => {
        pieces.push(piece)
        size += piece.length
        if (size < bytes) return
        response.pause()
        resolve({ read: Buffer.concat(pieces), gone: gone.finally(() => response.destroy()) })
      })
    }).on("error", reject)
  })

it.live(
  "S79: an export whose daemon was killed goes on from the next one, and the file is as if nothing had happened",
  () =>
    Effect.promise(async () => {
      const data = temporaryFolder()
      await fill(data, JOBS)
      const first = await startDaemon({ data })
      const { read } = await readSome(`${first.controlUrl}/control/jobs/export`, 300_000)
      await first.kill("SIGKILL")
      const file = join(data, "jobs.ndjson")
      writeFileSync(`${file}.part`, read)

      const second = await startDaemon({ data })
      const command = run("export", [COMMAND, "jobs", "export", "--output", file, "--resume", "--json"], {
        env: { RESULTITY_CONTROL_URL: second.controlUrl }
      })
      assert.strictEqual((await command.exited).code, 0, command.lines.join("\n"))
      const { rows, newRows } = JSON.parse(command.lines.at(-1)!)
      assert.strictEqual(rows, JOBS)
      assert.isBelow(newRows, JOBS)
      const whole = await (await fetch(`${second.controlUrl}/control/jobs/export`)).text()
      assert.isTrue(readFileSync(file, "utf8") === whole)
    }),
  120_000
)

it.live(
  "S79: a daemon sends finished jobs on to a folder by itself, and the next one goes on where it was",
  () =>
    Effect.promise(async () => {
      const data = temporaryFolder()
      const place = join(data, "analytics")
      const records = await fill(data, 2_300)
      const sent = () => (existsSync(place) ? readdirSync(place).filter((name) => name.endsWith(".ndjson")) : [])
      const daemon = await startDaemon({ data, args: ["--sinks", place] })
      await until("the files", () => sent().length === 3)
      const ids = sent()
        .toSorted()
        .flatMap((name) => readFileSync(join(place, name), "utf8").split("\n").slice(0, -1))
        .map((line) => JSON.parse(line).jobId)
      assert.deepStrictEqual(
        ids,
        records.map(({ jobId }) => jobId as string)
      )
      const swept = async (of: { readonly controlUrl: string }) => {
        const answer = await fetch(`${of.controlUrl}/control/sweepers`)
        const { data } = (await answer.json()) as {
          data: ReadonlyArray<{ name: string; swept: number; epoch: number }>
        }
        return data.find(({ name }) => name.startsWith("sink-"))
      }
      await until("what it says", async () => (await swept(daemon))?.swept === 2_300)
      await daemon.kill("SIGKILL")

      const next = await startDaemon({ data, args: ["--sinks", place] })
      await until("the next leader", async () => ((await swept(next))?.epoch ?? 0) > 1)
      assert.strictEqual((await swept(next))?.swept, 2_300)
      assert.lengthOf(sent(), 3)
    }),
  60_000
)

const TO_BUCKET = "S79: a daemon sends finished jobs on to a bucket by itself"
if (S3_URL === undefined) {
  console.warn(`skipped: ${TO_BUCKET}; set S3_URL, S3_ACCESS_KEY and S3_SECRET_KEY to an S3 server`)
}

it.live.skipIf(S3_URL === undefined)(
  TO_BUCKET,
  () =>
    Effect.promise(async () => {
      const data = temporaryFolder()
      const records = await fill(data, 1_200)
      const bucket = `resultity-test-${randomBytes(6).toString("hex")}`
      const [accessKey, secretKey] = [process.env["S3_ACCESS_KEY"] ?? "", process.env["S3_SECRET_KEY"] ?? ""]
      const reach = { url: S3_URL ?? "", bucket, region: "us-east-1", accessKey, secretKey: Redacted.make(secretKey) }
      const place = { ...reach, prefix: "analytics", createBucket: true }
      // The layer makes the bucket.
      await Effect.runPromise(Effect.scoped(Effect.asVoid(Effect.provide(Effect.void, S3Archive.layer(place)))))
      const shell = openShell({ url: reach.url, bucket, accessKey, secretKey })
      onTestFinished(async () => {
        shell.drop()
        await shell.close()
      })
      const there = await Effect.runPromise(S3Archive.reach(place))
      const env = { S3_URL: reach.url, S3_BUCKET: bucket, S3_ACCESS_KEY: accessKey, S3_SECRET_KEY: secretKey }
      await startDaemon({ data, args: ["--sinks", "s3://analytics"], env })
      const names = () => Effect.runPromise(there.names(""))
      await until("the files", async () => (await names()).length === 2)
      const files = await Promise.all((await names()).map((name) => Effect.runPromise(there.get(name))))
      const ids = files
        .flatMap((bytes) =>
          Buffer.from(bytes ?? [])
            .toString("utf8")
            .split("\n")
            .slice(0, -1)
        )
        .map((line) => JSON.parse(line).jobId)
      assert.deepStrictEqual(
        ids,
        records.map(({ jobId }) => jobId as string)
      )
    }),
  60_000
)
