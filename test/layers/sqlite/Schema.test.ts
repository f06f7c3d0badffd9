/** What the file itself guarantees, whoever opens it: append-only history, private files, forward-only migrations. */
import { statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { describe } from "vitest"
import { Audit } from "../../../src/layers/Audit.ts"
import { Incidents } from "../../../src/layers/Incidents.ts"
import { JobStore } from "../../../src/layers/JobStore.ts"
import { NodeRegistry } from "../../../src/layers/NodeRegistry.ts"
import { migrate, migrations } from "../../../src/layers/sqlite/Migrations.ts"
import { SqliteClient } from "../../../src/layers/sqlite/SqliteClient.ts"
import * as SqliteIncidents from "../../../src/layers/sqlite/SqliteIncidents.ts"
import { APPEND_ONLY } from "../../../src/layers/sqlite/StateSchema.ts"
import { admissionOf, AT, dataFolder, jobOf, NODE, settle, store } from "./StateSamples.ts"

const profile = { name: "n", agentVersion: "1", runtime: "r", subclouds: [], gpus: [], slots: 1, models: [] }
const restriction = { kind: "frozen", reason: "lies", by: "operator", since: AT, until: null } as const

/** At least one row in every append-only table. */
const history = Effect.gen(function* () {
  yield* settle()
  yield* (yield* JobStore).admit(admissionOf(jobOf("a")))
  const nodes = yield* NodeRegistry
  yield* nodes.register({ nodeId: NODE, environment: "testnet", profile, at: AT })
  yield* nodes.restrict(NODE, restriction)
  yield* (yield* Audit).append({ actor: "a", action: "b", subject: "c", reason: "d", detail: {}, at: AT })
})

describe("the embedded database", () => {
  it.effect("refuses to change or delete what is history, also from a shell", () =>
    Effect.gen(function* () {
      const path = join(yield* dataFolder, "data.db")
      yield* Effect.provide(history, store(path))
      const shell = new DatabaseSync(path)
      for (const table of APPEND_ONLY) {
        assert.isAtLeast(Number(shell.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.["n"]), 1, table)
        const [column] = shell
          .prepare(`PRAGMA table_info(${table})`)
          .all()
          .map((row) => row["name"])
        assert.throws(() => shell.exec(`UPDATE ${table} SET ${column} = ${column}`), "is append-only", table)
        assert.throws(() => shell.exec(`DELETE FROM ${table}`), "is append-only", table)
      }
      shell.close()
    })
  )

  it.effect("is readable by its owner only, with its journals and its lock", () =>
    Effect.gen(function* () {
      const folder = join(yield* dataFolder, "data")
      yield* Effect.provide(
        Effect.gen(function* () {
          yield* settle()
          assert.strictEqual(statSync(folder).mode & 0o777, 0o700)
          for (const name of ["data.db", "data.db-wal", "data.db-shm", "daemon.lock"]) {
            assert.strictEqual(statSync(join(folder, name)).mode & 0o777, 0o600, name)
          }
        }),
        store(join(folder, "data.db"))
      )
      // Closing leaves one file with everything in it.
      assert.isUndefined(statSync(join(folder, "data.db-wal"), { throwIfNoEntry: false }))
    })
  )

  it.effect("keeps its rows and runs no step again, when it is opened again", () =>
    Effect.gen(function* () {
      const path = join(yield* dataFolder, "data.db")
      yield* Effect.provide(history, store(path))
      const row = yield* Effect.provide(
        Effect.flatMap(JobStore, ({ get }) => get(jobOf("a").id)),
        store(path)
      )
      assert.strictEqual(row?.state, "queued")
    })
  )

  it.effect("starts empty each time, when it is in memory", () =>
    Effect.gen(function* () {
      const open = Effect.flatMap(JobStore, ({ get }) => get(jobOf("a").id))
      yield* Effect.provide(history, store(":memory:"))
      assert.isNull(yield* Effect.provide(open, store(":memory:")))
    })
  )

  it.effect("refuses to open, when a newer program wrote it", () =>
    Effect.gen(function* () {
      const path = join(yield* dataFolder, "data.db")
      yield* Effect.provide(SqliteClient, store(path))
      const shell = new DatabaseSync(path)
      shell.exec(`INSERT INTO migration VALUES (${migrations.length + 1}, 'future', 0)`)
      shell.close()
      const refused = yield* Effect.flip(Effect.provide(SqliteClient, store(path)))
      assert.strictEqual(refused._tag, "DatabaseNewer")
      assert.include(
        refused.message,
        `has migration ${migrations.length + 1} and this program knows ${migrations.length}`
      )
    })
  )

  it.effect("keeps notices and incidents of a program that knew no ends, and takes ends from then on", () =>
    Effect.gen(function* () {
      const path = join(yield* dataFolder, "data.db")
      const old = new DatabaseSync(path)
      const before = migrations.findIndex(({ name }) => name.startsWith("episodes"))
      migrate(old, 0, migrations.slice(0, before))
      old.exec(`
        INSERT INTO webhook VALUES ('webhook_a', 'https://example.com/', 's', '""', '[]', '[]', 1, 1, NULL, NULL, 0, NULL, NULL);
        INSERT INTO notice VALUES ('notice_a', 'webhook_a', 'incident.opened', 'incident_a', '{}', 1, 'pending', 0, 1, NULL, NULL);
        INSERT INTO incident VALUES ('incident_a', NULL, 'anomaly', 'abuse', '"s"', 1, '{"id":"incident_a","at":1}');
      `)
      assert.isNull(migrate(old, 1))
      assert.strictEqual(old.prepare("SELECT body FROM notice WHERE id = 'notice_a'").get()?.["body"], "{}")
      const planned = `'webhook_a', 'incident.closed', 'incident_a', '{}', 2, 'pending', 0, 2, NULL, NULL`
      old.exec(`INSERT INTO notice VALUES ('notice_b', ${planned})`)
      old.exec("PRAGMA foreign_keys = ON; DELETE FROM webhook")
      assert.strictEqual(old.prepare("SELECT count(*) AS many FROM notice").get()?.["many"], 0)
      old.close()
      const found = yield* Effect.provide(
        Effect.flatMap(Incidents, (incidents) => incidents.list({ _tag: "Operator", by: "test" }, { limit: 9 })),
        Layer.provide(SqliteIncidents.layer, store(path))
      )
      assert.deepStrictEqual(found as ReadonlyArray<unknown>, [{ id: "incident_a", at: 1 }])
    })
  )

  it.effect(
    "C97: keeps the ledger of a program whose entries needed their jobs; a history goes with its marked row only",
    () =>
      Effect.gen(function* () {
        const path = join(yield* dataFolder, "data.db")
        const old = new DatabaseSync(path, { enableForeignKeyConstraints: true })
        migrate(
          old,
          0,
          migrations.slice(
            0,
            migrations.findIndex(({ name }) => name.startsWith("rows of jobs"))
          )
        )
        old.exec(`
        INSERT INTO namespace VALUES ('ns_a', 'a', 'testnet', '{}', 1);
        INSERT INTO job VALUES ('job_a', 'ns_a', '{}', '[]', 5, 1, 9, 'cancelled', NULL, 0, 0, 0, 0, NULL, 1, 0, 0, 0, NULL, 2, 2);
        INSERT INTO job_event VALUES ('job_a', 1, 'admitted', NULL, 'queued', 0, 0, NULL, NULL, NULL, 1);
        INSERT INTO credit_entry VALUES (3, 'ns_a', 'grant', 9, NULL, 'r', 1), (4, 'ns_a', 'reserve', 5, 'job_a', NULL, 1),
          (7, 'ns_a', 'settle', 0, 'job_a', NULL, 2), (8, 'ns_a', 'refund', 5, 'job_a', NULL, 2);
      `)
        const entries = () => old.prepare("SELECT * FROM credit_entry ORDER BY seq").all()
        const before = entries()
        assert.isNull(migrate(old, 1))
        assert.deepStrictEqual(entries(), before)
        const refuses = (statement: string, why: string) => assert.throws(() => old.exec(statement), why)
        refuses("DELETE FROM credit_entry", "append-only")
        refuses("UPDATE credit_entry SET amount = 1", "append-only")
        refuses("INSERT INTO credit_entry VALUES (9, 'ns_a', 'settle', 1, 'job_a', NULL, 3)", "UNIQUE")
        refuses("DELETE FROM job_event", "append-only")
        refuses("DELETE FROM job", "FOREIGN KEY")
        old.exec(
          "INSERT INTO job_leaving VALUES ('job_a', 'seg_a'); DELETE FROM job_event; DELETE FROM job_leaving; DELETE FROM job"
        )
        assert.deepStrictEqual(entries(), before)
        old.close()
      })
  )

  it.effect("refuses to open as an Outage, when its file is no database", () =>
    Effect.gen(function* () {
      const path = join(yield* dataFolder, "data.db")
      writeFileSync(
        path,
        "no database, but longer than the header of one, so that SQLite looks at it and sees that".repeat(9)
      )
      assert.strictEqual((yield* Effect.flip(Effect.provide(SqliteClient, store(path))))._tag, "Outage")
    })
  )
})

describe("a migration", () => {
  const first = { name: "first", sql: "CREATE TABLE a (x)" }
  const second = { name: "second", sql: "CREATE TABLE b (x); INSERT INTO b VALUES (1)" }
  const broken = { name: "broken", sql: "CREATE TABLE c (x); CREATE TABLE a (x)" }
  const steps = (db: DatabaseSync) =>
    db
      .prepare("SELECT number, name, applied_at FROM migration ORDER BY number")
      .all()
      .map((row) => [row["number"], row["name"], row["applied_at"]])

  it("runs each step once and in order, when the database is behind", () => {
    const db = new DatabaseSync(":memory:")
    assert.isNull(migrate(db, 1, [first]))
    assert.isNull(migrate(db, 2, [first, second]))
    assert.isNull(migrate(db, 3, [first, second]))
    assert.deepStrictEqual(steps(db), [
      [1, "first", 1],
      [2, "second", 2]
    ])
    assert.strictEqual(db.prepare("SELECT count(*) AS n FROM b").get()?.["n"], 1)
  })

  it("leaves the database as it was, when a step fails", () => {
    const db = new DatabaseSync(":memory:")
    migrate(db, 1, [first])
    assert.throws(() => migrate(db, 2, [first, second, broken]), "already exists")
    assert.deepStrictEqual(steps(db), [[1, "first", 1]])
    assert.isNull(migrate(db, 3, [first, second]))
  })
})
