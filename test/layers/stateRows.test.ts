/** The rows of the deciding store on memory, SQLite and PostgreSQL: one line a suite. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer, Result } from "effect"
import { afterAll } from "vitest"
import * as MemoryStateRows from "../../src/layers/memory/MemoryStateRows.ts"
import * as PgClient from "../../src/layers/postgres/PgClient.ts"
import * as PgStateRows from "../../src/layers/postgres/PgStateRows.ts"
import * as SqliteClient from "../../src/layers/sqlite/SqliteClient.ts"
import * as SqliteStateRows from "../../src/layers/sqlite/SqliteStateRows.ts"
import { stateRowsContract } from "./contracts/StateRows.contract.ts"
import { freshSchema, shell, withPostgres } from "./postgres/PgSchema.ts"

stateRowsContract("memory", () => Layer.fresh(MemoryStateRows.layer))

const INSERT = "INSERT INTO audit VALUES (?, 'a', 'b', 'c', 'd', '{}', 1, 'h')"
const append = (seq: number) =>
  Effect.flatMap(SqliteClient.SqliteClient, ({ write }) =>
    write({ of: "test", method: "append" }, (sql) => Result.succeed(void sql(INSERT).run(seq)))
  )

const folder = mkdtempSync(join(tmpdir(), "resultity-rows-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
let files = 0

for (const [backEnd, path] of [
  ["SQLite in a file", () => join(folder, String(++files), "data.db")],
  ["SQLite in memory", () => ":memory:"]
] as const) {
  stateRowsContract(
    backEnd,
    () => SqliteStateRows.layer.pipe(Layer.provideMerge(SqliteClient.layer({ path: path() }))),
    { append }
  )
}

withPostgres("StateRows on PostgreSQL", () => {
  // One schema a test: a restore wants an empty one.
  const fresh = () => {
    const options = freshSchema("rows")
    const client = PgClient.layer(options)
    const rows = PgStateRows.layer.pipe(Layer.provideMerge(client))
    return rows
  }
  stateRowsContract("PostgreSQL", fresh, {
    append: (seq) =>
      Effect.flatMap(PgClient.PgClient, ({ schema }) =>
        Effect.promise(() =>
          shell(schema, `INSERT INTO audit VALUES (${seq}, '"a"', '"b"', '"c"', '"d"', '{}', 1, 'h')`)
        )
      )
  })
})
