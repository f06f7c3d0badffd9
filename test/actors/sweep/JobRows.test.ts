/** The laws of rows that leave, over every deciding store. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Layer } from "effect"
import { afterAll } from "vitest"
import * as Backends from "../../../src/Backends.ts"
import * as MemoryRecordsLayers from "../../../src/layers/memory/MemoryRecordsLayers.ts"
import * as MemoryStateLayers from "../../../src/layers/memory/MemoryStateLayers.ts"
import { testNetworkKey } from "../../support/networkKey.ts"
import { clientOf, freshSchema, layerOf, withPostgres } from "../../layers/postgres/PgSchema.ts"
import { jobRowLaws } from "./jobRowLaws.ts"

const home = mkdtempSync(join(tmpdir(), "job-rows-"))
afterAll(() => rmSync(home, { recursive: true, force: true }))
let folders = 0

jobRowLaws("memory", () => Layer.mergeAll(MemoryRecordsLayers.layer, MemoryStateLayers.layer, testNetworkKey), 100)
jobRowLaws("SQLite and files", () => Backends.embedded(join(home, `${++folders}`)), 100)

withPostgres("rows of jobs that leave PostgreSQL", () => {
  const records = Layer.merge(MemoryRecordsLayers.layer, testNetworkKey)
  jobRowLaws("PostgreSQL", () => Layer.merge(Layer.fresh(records), layerOf(clientOf(freshSchema("leaving")))), 40)
})
