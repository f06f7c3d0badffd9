/** The rollups over every back end, each in a store that holds nothing else: what is closed is closed for all. */
import { Effect, Layer, ManagedRuntime } from "effect"
import { afterAll } from "vitest"
import * as MemoryArchive from "../../src/layers/memory/MemoryArchive.ts"
import * as MemoryRecords from "../../src/layers/memory/MemoryRecords.ts"
import * as MemoryStateLayers from "../../src/layers/memory/MemoryStateLayers.ts"
import * as MemoryState from "../../src/layers/memory/MemoryState.ts"
import * as SqliteClient from "../../src/layers/sqlite/SqliteClient.ts"
import * as SqliteState from "../../src/layers/sqlite/SqliteState.ts"
import { accountRollupsContract, rollupsContract } from "./contracts/Rollups.contract.ts"
import { rollupDaysContract } from "./contracts/RollupDays.contract.ts"
import { clientOf, freshSchema, layerOf, shell, withPostgres } from "./postgres/PgSchema.ts"

const archive = Layer.fresh(Layer.provide(MemoryArchive.layer, MemoryRecords.layer))

const inMemory = () => MemoryStateLayers.over(MemoryState.make())
rollupsContract("memory", inMemory(), { runs: 100 })
accountRollupsContract("memory", inMemory())
rollupDaysContract("memory", Layer.merge(inMemory(), archive))

const inSqlite = () => {
  const runtime = ManagedRuntime.make(SqliteClient.layer({ path: ":memory:" }))
  afterAll(() => runtime.dispose())
  const layer = Layer.provide(SqliteState.layer, Layer.effectContext(runtime.contextEffect))
  const run = (statement: string) =>
    Effect.flatMap(runtime.contextEffect, (context) =>
      Effect.provide(
        Effect.flatMap(SqliteClient.SqliteClient, ({ read }) =>
          read({ of: "test", method: "shell" }, (sql) => sql(statement).run())
        ),
        context
      )
    ).pipe(Effect.orDie)
  return { layer, run }
}

/** A trigger is as good as a power failure: nothing of the transaction is there after it. */
const BREAK = `CREATE TRIGGER broken BEFORE UPDATE ON rollup_place BEGIN SELECT RAISE(ABORT, 'broken'); END`
const sqlite = inSqlite()
rollupsContract("SQLite", sqlite.layer, {
  runs: 100,
  breaking: (body) => Effect.andThen(sqlite.run(BREAK), Effect.ensuring(body, sqlite.run("DROP TRIGGER broken")))
})
accountRollupsContract("SQLite", inSqlite().layer)
rollupDaysContract("SQLite", Layer.merge(inSqlite().layer, archive))

withPostgres("rollups on PostgreSQL", () => {
  const options = freshSchema("rollups")
  const on = (statement: string) => Effect.promise(() => shell(options.schema, statement))
  rollupsContract("PostgreSQL", layerOf(clientOf(options)), {
    runs: 15,
    breaking: (body) =>
      Effect.andThen(
        on("ALTER TABLE rollup_place ADD CONSTRAINT broken CHECK (false) NOT VALID"),
        Effect.ensuring(body, on("ALTER TABLE rollup_place DROP CONSTRAINT broken"))
      )
  })
  accountRollupsContract("PostgreSQL", layerOf(clientOf(freshSchema("accounts"))))
  rollupDaysContract("PostgreSQL", Layer.merge(layerOf(clientOf(freshSchema("days"))), archive))
})
