/** That the schema is brought forward once, by whoever comes first, and never half. */
import * as Driver from "@effect/sql-pg/PgClient"
import { assert } from "@effect/vitest"
import { Cause, Effect, Exit, Redacted } from "effect"
import { describe, it } from "vitest"
import { JobRowRetention } from "../../../src/layers/JobRowRetention.ts"
import { JobStore } from "../../../src/layers/JobStore.ts"
import { Outbox } from "../../../src/layers/Outbox.ts"
import { migrate } from "../../../src/layers/postgres/Migrations.ts"
import { type Migration, migrations } from "../../../src/layers/postgres/migrations/index.ts"
import * as PgClient from "../../../src/layers/postgres/PgClient.ts"
import { aFinish, livingDaemon } from "../../support/factories.ts"
import { admitted, assertSound, claimed, messagesOf } from "../contracts/StateProbes.ts"
import { DAY, freshSegment } from "../../support/recordFactories.ts"
import { closeUntil } from "../contracts/JobRowRetention.contract.ts"
import { freshSchema, objectionTo, openClient, type SchemaOptions, serverUrl, shell, withPostgres } from "./PgSchema.ts"

/** A whole life of a job in the daemon's role, and what the role may not do. */
const worksWithin = async (options: SchemaOptions, role: string) => {
  const url = new URL(serverUrl)
  url.username = role
  url.password = "daemon"
  const client = openClient({ ...options, url: Redacted.make(url.href), ownerUrl: options.url })
  await client.runPromise(
    Effect.gen(function* () {
      const store = yield* JobStore
      const row = yield* claimed(yield* admitted(), yield* livingDaemon(0))
      yield* store.finish(aFinish(row))
      yield* assertSound(row.job.namespaceId, [row.job.id])
      yield* (yield* Outbox).sent((yield* messagesOf(row.job.id)).map(({ id }) => id))
      // The one way in which its history goes, and only once it is counted.
      const [rows, segmentId] = [yield* JobRowRetention, freshSegment()]
      const bounds = { before: row.runAt + DAY, now: row.runAt + DAY }
      assert.strictEqual(yield* rows.mark(segmentId, [row.job.id], bounds), 0)
      yield* closeUntil(row.runAt + 2 * DAY)
      assert.strictEqual(yield* rows.mark(segmentId, [row.job.id], bounds), 1)
      assert.strictEqual(yield* rows.prune(segmentId), 1)
      assert.isNull(yield* store.get(row.job.id))
      assert.deepStrictEqual(yield* store.events(row.job.id), [])
    })
  )
  for (const [statement, objection] of [
    ["UPDATE credit_entry SET amount = 0", /permission denied/],
    ["DELETE FROM job_event", /permission denied/],
    ["TRUNCATE credit_entry", /permission denied/],
    ["INSERT INTO migration VALUES (99, 'mine', 0)", /permission denied/],
    ["ALTER TABLE credit_entry DISABLE TRIGGER append_only", /owner/],
    ["CREATE TABLE mine (id text)", /permission denied/]
  ] as const) {
    assert.match(await objectionTo(options.schema, statement, url), objection, statement)
  }
  await client.dispose()
}

withPostgres("the migrations of PostgreSQL", () => {
  const [together, half, newer, odd, roles] = [
    freshSchema("together"),
    freshSchema("half"),
    freshSchema("newer"),
    freshSchema("odd"),
    freshSchema("roles")
  ]
  const applied = (schema: string) =>
    shell<{ number: number; name: string }>(schema, "SELECT number, name FROM migration ORDER BY number")

  /** Runs these steps in a schema of their own. */
  const migrated = (options: PgClient.PgOptions & { readonly schema: string }, steps: ReadonlyArray<Migration>) => {
    const { url, schema } = options
    const layer = Driver.layer({ url, maxConnections: 1, startupParameters: { search_path: `"${schema}"` } })
    return Effect.runPromiseExit(
      Effect.flatMap(Driver.PgClient, (sql) => migrate(sql, schema, steps)).pipe(Effect.provide(layer))
    )
  }

  describe("a schema of PostgreSQL", () => {
    it("is made once, when four daemons start at once", async () => {
      const options = together
      const clients = Array.from({ length: 4 }, () => openClient(options))
      await Promise.all(clients.map((client) => client.runPromise(PgClient.PgClient)))
      await Promise.all(clients.map((client) => client.dispose()))
      const numbers = migrations.map(({ name }, index) => ({ number: index + 1, name }))
      assert.deepStrictEqual([...(await applied(options.schema))], numbers)
    })

    it("is as before the step, when a step fails in its middle, and goes on from there", async () => {
      const options = half
      const good: Migration = { name: "good", statements: ["CREATE TABLE one (id text)"] }
      const bad: Migration = { name: "bad", statements: ["CREATE TABLE two (id text)", "CREATE TABLE one (id text)"] }
      assert.isTrue(Exit.isFailure(await migrated(options, [good, bad])))
      assert.deepStrictEqual([...(await applied(options.schema))], [{ number: 1, name: "good" }])
      const [two] = await shell<{ there: boolean }>(options.schema, "SELECT to_regclass('two') IS NOT NULL AS there")
      assert.isFalse(two!.there)

      const mended: Migration = { name: "mended", statements: ["CREATE TABLE two (id text)"] }
      assert.isTrue(Exit.isSuccess(await migrated(options, [good, mended])))
      assert.deepStrictEqual(
        (await applied(options.schema)).map(({ name }) => name),
        ["good", "mended"]
      )
    })

    it("is refused and left alone, when a newer program has been here", async () => {
      const options = newer
      const step = (name: string): Migration => ({ name, statements: [`CREATE TABLE ${name} (id text)`] })
      await migrated(options, [step("one"), step("two")])
      const exit = await migrated(options, [step("one")])
      const error = Exit.isFailure(exit) && exit.cause.reasons.find(Cause.isFailReason)?.error
      assert.deepInclude(error, { _tag: "DatabaseNewer", found: 2, known: 1 })
      assert.strictEqual((await applied(options.schema)).length, 2)
    })

    it("may have any name that PostgreSQL takes", async () => {
      const options = { ...odd, schema: `${odd.schema} Ödd "one"` }
      const client = openClient(options)
      await client.runPromise(PgClient.PgClient)
      await client.dispose()
      const quoted = `"${options.schema.replaceAll('"', '""')}"`
      const rows = await shell("public", `SELECT 1 FROM ${quoted}.migration`, `DROP SCHEMA ${quoted} CASCADE`)
      assert.deepStrictEqual([...rows], [])
    })
  })

  describe("a daemon's own role", () => {
    it("works with the rows and cannot take back history or change a table, when another role owns them", async () => {
      const options = roles
      const role = `${options.schema}_daemon`
      await shell("public", `CREATE ROLE "${role}" LOGIN PASSWORD 'daemon'`)
      try {
        await worksWithin(options, role)
      } finally {
        await shell("public", `DROP OWNED BY "${role}"`, `DROP ROLE "${role}"`)
      }
    })
  })
})
