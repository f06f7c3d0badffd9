/** Rows of jobs that leave, over every back end, each in a store that holds nothing else: what is closed is closed for all. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, ManagedRuntime, Stream } from "effect"
import { afterAll } from "vitest"
import * as MemoryState from "../../src/layers/memory/MemoryState.ts"
import * as MemoryStateLayers from "../../src/layers/memory/MemoryStateLayers.ts"
import * as PgClient from "../../src/layers/postgres/PgClient.ts"
import * as PgRollups from "../../src/layers/postgres/PgRollups.ts"
import * as PgStateRows from "../../src/layers/postgres/PgStateRows.ts"
import * as SqliteClient from "../../src/layers/sqlite/SqliteClient.ts"
import * as SqliteRollups from "../../src/layers/sqlite/SqliteRollups.ts"
import * as SqliteState from "../../src/layers/sqlite/SqliteState.ts"
import * as SqliteStateRows from "../../src/layers/sqlite/SqliteStateRows.ts"
import type { Rollups } from "../../src/layers/Rollups.ts"
import { StateRows } from "../../src/layers/StateRows.ts"
import { type CreditRollup } from "../../src/schemas/Rollup.ts"
import { aState, fillingsOf } from "../support/stateFactories.ts"
import { jobRowRetentionContract } from "./contracts/JobRowRetention.contract.ts"
import { rollUp, rowsOf } from "./contracts/RollupHistory.ts"
import { clientOf, freshSchema, layerOf, withPostgres } from "./postgres/PgSchema.ts"

jobRowRetentionContract("memory", MemoryStateLayers.over(MemoryState.make()), { runs: 40 })

/** A fork has the ledger and no rollups, and counts anew. */
const countsAnew = (backEnd: string, layer: Layer.Layer<StateRows | Rollups, unknown>) =>
  it.live(`C97: a fork on ${backEnd} counts anew what it has, and goes past entries whose rows have left`, () =>
    Effect.provide(
      Effect.gen(function* () {
        const state = fillingsOf(aState({ namespaces: 1, jobs: 0 })).filter(({ table }) => table.inFork === "kept")
        yield* (yield* StateRows).fill(Stream.fromIterable(state))
        yield* rollUp(Date.UTC(2036, 0, 1))
        const credits = yield* rowsOf<CreditRollup>("credits", null)
        assert.deepStrictEqual(
          [credits.reduce((sum, { settled }) => sum + settled, 0n), yield* rowsOf("jobs", null)],
          [100n, []]
        )
      }),
      layer
    )
  )

const runtime = ManagedRuntime.make(SqliteClient.layer({ path: ":memory:" }))
afterAll(() => runtime.dispose())
jobRowRetentionContract("SQLite", Layer.provide(SqliteState.layer, Layer.effectContext(runtime.contextEffect)), {
  runs: 40
})

countsAnew(
  "SQLite",
  Layer.merge(SqliteStateRows.layer, SqliteRollups.layer).pipe(Layer.provide(SqliteClient.layer({ path: ":memory:" })))
)

withPostgres("rows of jobs that leave PostgreSQL", () => {
  jobRowRetentionContract("PostgreSQL", layerOf(clientOf(freshSchema("rows"))), { runs: 15 })
  countsAnew(
    "PostgreSQL",
    Layer.merge(PgStateRows.layer, PgRollups.layer).pipe(Layer.provide(PgClient.layer(freshSchema("fork"))))
  )
})
