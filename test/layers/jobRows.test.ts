/** Rows of jobs that leave, over every back end, each in a store that holds nothing else: what is closed is closed for all. */
import { Layer, ManagedRuntime } from "effect"
import { afterAll } from "vitest"
import * as MemoryState from "../../src/layers/memory/MemoryState.ts"
import * as MemoryStateLayers from "../../src/layers/memory/MemoryStateLayers.ts"
import * as SqliteClient from "../../src/layers/sqlite/SqliteClient.ts"
import * as SqliteState from "../../src/layers/sqlite/SqliteState.ts"
import { jobRowRetentionContract } from "./contracts/JobRowRetention.contract.ts"
import { clientOf, freshSchema, layerOf, withPostgres } from "./postgres/PgSchema.ts"

jobRowRetentionContract("memory", MemoryStateLayers.over(MemoryState.make()), { runs: 40 })

const runtime = ManagedRuntime.make(SqliteClient.layer({ path: ":memory:" }))
afterAll(() => runtime.dispose())
jobRowRetentionContract("SQLite", Layer.provide(SqliteState.layer, Layer.effectContext(runtime.contextEffect)), {
  runs: 40
})

withPostgres("rows of jobs that leave PostgreSQL", () => {
  jobRowRetentionContract("PostgreSQL", layerOf(clientOf(freshSchema("rows"))), { runs: 15 })
})
