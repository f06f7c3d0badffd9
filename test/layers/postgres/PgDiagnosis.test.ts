/** What the doctor says of a real PostgreSQL, healthy and set up wrongly in ways that only this test's own schemas and roles notice. */
import { randomBytes } from "node:crypto"
import { Redacted } from "effect"
import { afterAll, assert, describe, it, onTestFinished } from "vitest"
import { migrations } from "../../../src/layers/postgres/migrations/index.ts"
import { diagnose } from "../../../src/layers/postgres/PgDiagnosis.ts"
import { complaints, examine, findingOf } from "../../support/Findings.ts"
import { FakePooler } from "./FakePooler.ts"
import { openProxy } from "./PgProxy.ts"
import { freshSchema, openClient, serverUrl, shell, withPostgres } from "./PgSchema.ts"

const PASSWORD = "correct-horse"

withPostgres("the diagnosis of PostgreSQL", () => {
  describe("the diagnosis of PostgreSQL", () => {
    const made = freshSchema("doctor")
    const url = Redacted.make(serverUrl.href)
    const nowhere = { url, schema: `test_doctor_${randomBytes(4).toString("hex")}` }
    const roles: Array<string> = []
    afterAll(async () => {
      for (const role of roles) await shell("public", `DROP OWNED BY ${role}`, `DROP ROLE ${role}`)
    })

    /** A role that may log in, and its URL. */
    const aRole = async (...more: ReadonlyArray<string>) => {
      const role = `test_doctor_${randomBytes(4).toString("hex")}`
      roles.push(role)
      await shell("public", `CREATE ROLE ${role} LOGIN PASSWORD '${PASSWORD}'`, ...more.map((sql) => `${sql} ${role}`))
      const at = new URL(serverUrl)
      at.username = role
      at.password = PASSWORD
      return { role, url: Redacted.make(at.href) }
    }

    it("complains of nothing before the first start, and makes nothing", async () => {
      const findings = await examine(diagnose(nowhere))
      assert.deepStrictEqual(complaints(findings), [])
      assert.match(findingOf(findings, "rights").said, /is not there yet/)
      assert.match(findingOf(findings, "migrations").said, /none yet/)
      const rows = await shell("public", `SELECT 1 FROM pg_namespace WHERE nspname = '${nowhere.schema}'`)
      assert.lengthOf(rows, 0)
    })

    it("says which key living daemons sign with, and complains when they have two", async () => {
      const client = openClient(made)
      await client.context()
      await client.dispose()
      const here = { url, schema: made.schema }
      const keyFinding = async () => findingOf(await examine(diagnose(here)), "network key")
      assert.include((await keyFinding()).said, "no daemon lives")
      for (const n of [1, 2]) {
        await shell(
          made.schema,
          `INSERT INTO daemon (id, state, started_at, beat_at, lock_key) VALUES ('daemon_k${n}', 'live', 1, 1, 0)`,
          `INSERT INTO network_key VALUES ('nk_${n}', '${"ab".repeat(32)}', ${n})`,
          `INSERT INTO network_key_use VALUES ('daemon_k${n}', 'nk_${n}')`
        )
        const { level, said } = await keyFinding()
        assert.strictEqual(level, n === 1 ? "good" : "warning")
        assert.include(said, n === 1 ? "sign with nk_1" : "2 keys: nk_1, nk_2")
      }
      await shell(made.schema, "DELETE FROM network_key_use", "DELETE FROM network_key", "DELETE FROM daemon")
    })

    it("complains of nothing after it, then of older and of newer steps", async () => {
      const client = openClient(made)
      await client.context()
      await client.dispose()
      const here = { url, schema: made.schema }
      const known = migrations.length
      assert.deepStrictEqual(complaints(await examine(diagnose(here))), [])
      await shell(made.schema, `INSERT INTO migration VALUES (${known + 1}, 'of tomorrow', 0)`)
      assert.deepStrictEqual(complaints(await examine(diagnose(here))), [
        `bad migrations: the schema is at step ${known + 1}, this program knows ${known}`
      ])
      await shell(made.schema, `DELETE FROM migration WHERE number >= ${known}`)
      assert.deepStrictEqual(complaints(await examine(diagnose(here))), [
        `warning migrations: the schema is at step ${known - 1}, this program brings it to ${known} when it starts`
      ])
    })

    it("says what a role may not do, and the statement that allows it", async () => {
      const { role, url } = await aRole()
      const missing = findingOf(await examine(diagnose({ ...nowhere, url })), "rights")
      assert.strictEqual(missing.level, "bad")
      assert.include(missing.todo ?? "", `CREATE SCHEMA "${nowhere.schema}" AUTHORIZATION "${role}"`)
      const here = { url, schema: made.schema }
      assert.match(findingOf(await examine(diagnose(here)), "rights").said, /may not use schema/)
      await shell("public", `GRANT USAGE ON SCHEMA "${made.schema}" TO ${role}`)
      assert.match(findingOf(await examine(diagnose(here)), "rights").said, /may not make tables in schema/)
      await shell("public", `GRANT CREATE ON SCHEMA "${made.schema}" TO ${role}`)
      assert.match(findingOf(await examine(diagnose(here)), "rights").said, /may not read and write /)
    })

    it("says that transactions are read-only, and that there is no room for a daemon", async () => {
      const { role, url } = await aRole("ALTER ROLE")
      await shell(
        "public",
        `ALTER ROLE ${role} SET default_transaction_read_only = on`,
        `ALTER ROLE ${role} CONNECTION LIMIT 5`
      )
      const findings = await examine(diagnose({ ...nowhere, url }))
      assert.match(findingOf(findings, "takes writes").said, /read-only/)
      assert.match(findingOf(findings, "connections").said, /of 5 are taken: room for 0 more/)
      assert.strictEqual(findingOf(findings, "connections").level, "bad")
    })

    it("says that settings are off which keep what was confirmed", async () => {
      const { role, url } = await aRole()
      await shell("public", `ALTER ROLE ${role} SET synchronous_commit = off`)
      const finding = findingOf(await examine(diagnose({ ...nowhere, url })), "durability")
      assert.deepStrictEqual(
        [finding.level, finding.said],
        ["bad", "fsync on, synchronous_commit off, full_page_writes on"]
      )
    })

    it("recognises a transaction pooler, whichever connection it gives next", async () => {
      for (const gives of ["last", "first"] as const) {
        const pooler = await FakePooler.start(gives)
        const { level, said } = findingOf(await examine(diagnose({ ...nowhere, url: pooler.url })), "sessions")
        pooler.stop()
        assert.strictEqual(level, "bad", gives)
        assert.match(said, /transaction pooler/, gives)
      }
    })

    it("is one bad finding without the password, when it is refused or nobody listens", async () => {
      for (const [password, host] of [
        ["wrong-horse", serverUrl.host],
        ["wrong-horse", "127.0.0.1:1"]
      ] as const) {
        const at = new URL(serverUrl)
        at.password = password
        at.host = host
        const findings = await examine(diagnose({ ...nowhere, url: Redacted.make(at.href) }))
        assert.deepStrictEqual(
          findings.map(({ what, level }) => `${level} ${what}`),
          ["bad reachable"]
        )
        assert.notInclude(JSON.stringify(findings), "wrong-horse")
      }
    })

    it("ends although the server is frozen", async () => {
      const proxy = await openProxy()
      onTestFinished(() => proxy.close())
      proxy.freeze()
      const [finding] = await examine(diagnose({ ...nowhere, url: proxy.url }))
      assert.strictEqual(finding?.what, "reachable")
      assert.match(finding?.said ?? "", /timed out|no answer/)
    })
  })
})
