/** Who asks, who serves, who acts and by which rules, on PostgreSQL: the suites, and what only several clients of one server can show. */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { afterAll } from "vitest"
import { Audit } from "../../src/layers/Audit.ts"
import { Daemons } from "../../src/layers/Daemons.ts"
import * as PgClient from "../../src/layers/postgres/PgClient.ts"
import * as PgDaemons from "../../src/layers/postgres/PgDaemons.ts"
import * as PgSettings from "../../src/layers/postgres/PgSettings.ts"
import { aDaemonId, freshTime } from "../support/factories.ts"
import { until } from "../support/Until.ts"
import { apiKeysContract } from "./contracts/ApiKeys.contract.ts"
import { auditContract } from "./contracts/Audit.contract.ts"
import { catalogContract } from "./contracts/Catalog.contract.ts"
import { daemonsContract } from "./contracts/Daemons.contract.ts"
import { namespacesContract } from "./contracts/Namespaces.contract.ts"
import { nodeRegistryContract } from "./contracts/NodeRegistry.contract.ts"
import { settingsContract } from "./contracts/Settings.contract.ts"
import { sweeperStatesContract } from "./contracts/SweeperStates.contract.ts"
import { clientOf, freshSchema, layerOf, shell, withPostgres } from "./postgres/PgSchema.ts"

/** Soon, so that tests need not wait for what a cluster waits for. */
const SOON = { unlockedMs: 50, silentMs: 3_600_000, settledMs: 0 }

withPostgres("the contracts of identities on PostgreSQL", () => {
  const options = freshSchema("identities")
  const layer = layerOf(clientOf(options))
  const another = layerOf(clientOf(options))

  /** Past the trigger that forbids it. */
  const tamper = (seq: number, reason: string) =>
    Effect.promise(() =>
      shell(
        options.schema,
        "ALTER TABLE audit DISABLE TRIGGER append_only",
        `UPDATE audit SET reason = '${JSON.stringify(reason)}' WHERE seq = ${seq}`,
        "ALTER TABLE audit ENABLE TRIGGER append_only"
      )
    )

  namespacesContract("PostgreSQL", layer)
  apiKeysContract("PostgreSQL", layer)
  nodeRegistryContract("PostgreSQL", layer)
  catalogContract("PostgreSQL", layer)
  daemonsContract("PostgreSQL", layer)
  auditContract("PostgreSQL", layer, { tamper })
  settingsContract("PostgreSQL", layer, {
    another: Layer.provide(Layer.fresh(PgSettings.layer), PgClient.layer(options)) as never
  })
  sweeperStatesContract("PostgreSQL", layer)

  it.live("appends of two daemons at once make one chain", () =>
    Effect.gen(function* () {
      const [one, two] = [yield* Effect.provide(Audit, layer), yield* Effect.provide(Audit, another, { local: true })]
      const before = (yield* one.list(0, 10_000)).length
      const fact = { actor: "a", action: "b", subject: "c", reason: "d", detail: {}, at: 1 }
      yield* Effect.forEach(Array.from({ length: 60 }), (_, at) => (at % 2 === 0 ? one : two).append(fact), {
        concurrency: 16,
        discard: true
      })
      assert.strictEqual((yield* two.list(0, 10_000)).length, before + 60)
    })
  )
})

withPostgres("who lives, on PostgreSQL", () => {
  const options = freshSchema("daemons")
  const clients: Array<Scope.Closeable> = []
  afterAll(() =>
    Effect.runPromise(Effect.forEach(clients, (scope) => Scope.close(scope, Exit.void), { discard: true }))
  )
  let number = 0

  /** One daemon's own client; closing its scope is its death. */
  const aClient = Effect.gen(function* () {
    const scope = yield* Scope.make()
    clients.push(scope)
    const applicationName = `${options.schema}_${++number}`
    const over = Layer.provide(Layer.fresh(PgDaemons.layerWith(SOON)), PgClient.layer({ ...options, applicationName }))
    const context = yield* Scope.provide(Layer.build(over), scope)
    return { daemons: Context.get(context, Daemons), die: Scope.close(scope, Exit.void), applicationName }
  })

  it.live("a daemon whose process is gone is buried without waiting for its heartbeat, by exactly one of two", () =>
    Effect.gen(function* () {
      const [dead, one, two] = [yield* aClient, yield* aClient, yield* aClient]
      const [id, alive] = [aDaemonId(), aDaemonId()]
      const at = freshTime()
      yield* dead.daemons.join(id, at)
      yield* one.daemons.join(alive, at)
      yield* dead.die
      const buried: Array<string> = []
      yield* Effect.promise(() =>
        until("the dead one to be buried", async () => {
          const both = Effect.all([one.daemons.bury(0), two.daemons.bury(0)], { concurrency: 2 })
          buried.push(...(await Effect.runPromise(both)).flat())
          return buried.length > 0
        })
      )
      assert.deepStrictEqual(buried, [id])
      assert.isTrue(yield* one.daemons.beat(alive, at + 1))
      assert.isFalse(yield* two.daemons.beat(id, at + 1))
    })
  )

  it.live("a daemon that lost its connection locks again, and is not buried while it beats", () =>
    Effect.gen(function* () {
      const [shaken, other] = [yield* aClient, yield* aClient]
      const id = aDaemonId()
      yield* shaken.daemons.join(id, freshTime())
      const locks = `SELECT count(*)::int AS held FROM pg_locks JOIN pg_stat_activity USING (pid)
        WHERE locktype = 'advisory' AND application_name = '${shaken.applicationName}'`
      const isLocked = async () => (await shell<{ held: number }>("public", locks))[0]?.held === 1
      yield* Effect.promise(() => until("the lock", isLocked))
      yield* Effect.promise(() =>
        shell(
          "public",
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '${shaken.applicationName}'`
        )
      )
      yield* Effect.eventually(shaken.daemons.beat(id, freshTime()))
      assert.notInclude(yield* other.daemons.bury(0), id)
      yield* Effect.promise(() => until("the lock again", isLocked))
      assert.isTrue(yield* shaken.daemons.beat(id, freshTime()))
    })
  )
})
