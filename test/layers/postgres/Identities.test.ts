/** What several daemons do to the same identities at once, each with a client of its own, and in a role that does not own the tables. */
import { assert } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { describe, it } from "vitest"
import { ApiKeys } from "../../../src/layers/ApiKeys.ts"
import { Audit, type AuditFact } from "../../../src/layers/Audit.ts"
import { Catalog } from "../../../src/layers/Catalog.ts"
import { Namespaces } from "../../../src/layers/Namespaces.ts"
import { NodeRegistry } from "../../../src/layers/NodeRegistry.ts"
import { FIND } from "../../../src/layers/postgres/PgApiKeys.ts"
import { PgClient } from "../../../src/layers/postgres/PgClient.ts"
import { SweeperStates } from "../../../src/layers/SweeperStates.ts"
import {
  aDaemonId,
  anApiKey,
  aNamespace,
  aProfile,
  aRegistration,
  aRestriction,
  freshTime,
  unique
} from "../../support/factories.ts"
import { timesAtOnce } from "../contracts/StateProbes.ts"
import {
  type Client,
  clientOf,
  freshSchema,
  objectionTo,
  openClient,
  serverUrl,
  shell,
  withPostgres
} from "./PgSchema.ts"

const fact = (over: Partial<AuditFact> = {}): AuditFact => ({
  actor: "operator/control",
  action: "test",
  subject: unique(),
  reason: "because",
  detail: { n: 1 },
  at: freshTime(),
  ...over
})

const ODD = `\u0000 \ud800 \udc00 it's "é" \\ 😀 \u2028`

withPostgres("identities of several daemons on PostgreSQL", () => {
  const options = freshSchema("several")
  const clients = [clientOf(options), clientOf(options)] as const
  const each = <A>(use: (client: Client) => Promise<A>) => Promise.all(clients.map(use))
  const [one] = clients

  describe("two daemons on one PostgreSQL", () => {
    it("append fifty rows each to the audit, and it is one chain", async () => {
      const append = () => Effect.flatMap(Audit, (audit) => audit.append(fact()))
      const rows = (await each((client) => client.runPromise(timesAtOnce(50, append)))).flat()
      const seqs = rows.map(({ seq }) => seq).toSorted((a, b) => a - b)
      assert.deepStrictEqual(
        seqs,
        Array.from({ length: 100 }, (_, n) => n + 1)
      )
      const verified = Effect.flatMap(Audit, (audit) => audit.verify)
      assert.deepStrictEqual(await each((client) => client.runPromise(verified)), [null, null])
    })

    it("register one node again and again, and no generation comes twice", async () => {
      const registration = aRegistration(freshTime())
      const register = () => Effect.flatMap(NodeRegistry, (registry) => registry.register(registration))
      const rows = (await each((client) => client.runPromise(timesAtOnce(20, register)))).flat()
      const generations = rows.map(({ generation }) => generation).toSorted((a, b) => a - b)
      assert.deepStrictEqual(
        generations,
        Array.from({ length: 40 }, (_, n) => n + 1)
      )
    })

    it("lead one sweeper at once, and no epoch comes twice", async () => {
      const lead = () => Effect.flatMap(SweeperStates, (states) => states.lead("both", aDaemonId()))
      const states = (await each((client) => client.runPromise(timesAtOnce(20, lead)))).flat()
      assert.strictEqual(new Set(states.map(({ epoch }) => epoch)).size, 40)
      assert.strictEqual(Math.max(...states.map(({ epoch }) => epoch)), 40)
    })
  })

  describe("the audit on PostgreSQL", () => {
    it("refuses to be changed or emptied, by whoever owns it too", async () => {
      await one.runPromise(Effect.flatMap(Audit, (audit) => audit.append(fact())))
      for (const statement of ["UPDATE audit SET reason = ''", "DELETE FROM audit", "TRUNCATE audit"]) {
        assert.match(await objectionTo(options.schema, statement), /append-only/, statement)
      }
    })

    it("is appended to in a role that may insert into it and nothing else", async () => {
      const role = `${options.schema}_daemon`
      await shell("public", `CREATE ROLE "${role}" LOGIN PASSWORD 'daemon'`)
      const url = new URL(serverUrl)
      url.username = role
      url.password = "daemon"
      const client = openClient({ ...options, url: Redacted.make(url.href), ownerUrl: options.url })
      try {
        const row = await client.runPromise(Effect.flatMap(Audit, (audit) => audit.append(fact())))
        assert.isAtLeast(row.seq, 1)
        assert.isNull(await client.runPromise(Effect.flatMap(Audit, (audit) => audit.verify)))
        assert.match(await objectionTo(options.schema, "DELETE FROM audit", url), /permission denied/)
      } finally {
        await client.dispose()
        await shell("public", `DROP OWNED BY "${role}"`, `DROP ROLE "${role}"`)
      }
    })
  })

  describe("text that PostgreSQL has no form for", () => {
    it("comes back from every contract as it was given", async () => {
      await one.runPromise(
        Effect.gen(function* () {
          const at = freshTime()
          const namespace = aNamespace({ name: ODD })
          yield* (yield* Namespaces).create(namespace)
          assert.deepStrictEqual(yield* (yield* Namespaces).get(namespace.id), namespace)

          const key = anApiKey({ namespaceId: namespace.id, label: ODD })
          yield* (yield* ApiKeys).insert(key, key.id)
          assert.deepInclude(yield* (yield* ApiKeys).find(key.id), { key, namespace })

          const registry = yield* NodeRegistry
          const profile = aProfile({ name: ODD })
          const { nodeId } = yield* registry.register(aRegistration(at, { profile }))
          const restriction = aRestriction(at, { reason: ODD, by: ODD })
          const row = yield* registry.restrict(nodeId, restriction)
          assert.deepStrictEqual([row.profile, row.restrictions], [profile, [restriction]])
          assert.deepInclude((yield* registry.history(nodeId))[0], { reason: ODD, by: ODD })

          const model = { name: ODD, environment: "testnet", endpoints: ["chat"], firstSeenAt: at } as const
          yield* (yield* Catalog).learn([model])
          assert.deepStrictEqual(yield* (yield* Catalog).get("testnet", ODD), model)

          const states = yield* SweeperStates
          const { epoch } = yield* states.lead("odd", aDaemonId())
          assert.isTrue(yield* states.save("odd", epoch, { watermark: { [ODD]: ODD }, swept: 1, error: ODD, at }))
          const saved = (yield* states.list).find(({ name }) => name === "odd")
          assert.deepInclude(saved, { watermark: { [ODD]: ODD }, lastError: ODD })

          const said = fact({ actor: ODD, action: ODD, subject: ODD, reason: ODD, detail: { [ODD]: ODD } })
          const appended = yield* (yield* Audit).append(said)
          assert.deepStrictEqual(yield* (yield* Audit).list(appended.seq - 1, 1), [{ ...appended, ...said }])
          assert.isNull(yield* (yield* Audit).verify)
        })
      )
    })
  })

  describe("finding a key on PostgreSQL", () => {
    it("walks the index of digests and no table, with the plan that a prepared statement keeps", async () => {
      const explained = Effect.gen(function* () {
        const { sql } = yield* PgClient
        return yield* sql.withTransaction(
          Effect.gen(function* () {
            yield* sql.unsafe("SET LOCAL plan_cache_mode = force_generic_plan")
            yield* sql.unsafe(`PREPARE find (text[]) AS ${FIND}`)
            const rows = yield* sql.unsafe<{ "QUERY PLAN": string }>("EXPLAIN EXECUTE find('{a,b}')")
            yield* sql.unsafe("DEALLOCATE find")
            return rows.map((row) => row["QUERY PLAN"]).join("\n")
          })
        )
      })
      const plan = await one.runPromise(explained)
      assert.include(plan, "api_key_digest_key", plan)
      assert.notMatch(plan, /Seq Scan/, plan)
    })
  })
})
