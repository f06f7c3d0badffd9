/** Records that were stored before their times had columns have them afterwards. */
import { DatabaseSync } from "node:sqlite"
import { assert, it } from "vitest"
import { migrate, migrations } from "../../../src/layers/sqlite/Migrations.ts"
import { allColumns } from "../../../src/layers/sqlite/RecordColumns.ts"
import { aRecord } from "../../support/recordFactories.ts"

it("times of records that were there before stand in their columns", () => {
  const place = migrations.findIndex(({ sql }) => sql.includes("ADD COLUMN queue_ms"))
  const db = new DatabaseSync(":memory:")
  assert.isNull(migrate(db, 0, migrations.slice(0, place)))
  const { system, ...record } = aRecord()
  for (const [queueMs, firstTokenMs] of [
    [7, 11],
    [null, null]
  ] as const) {
    const columns = allColumns({
      ...record,
      jobId: aRecord().jobId,
      system: { ...system, queueMs, firstTokenMs }
    }).filter(([name]) => name !== "queue_ms" && name !== "first_token_ms")
    db.prepare(
      `INSERT INTO record (${columns.map(([name]) => name).join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`
    ).run(...columns.map(([, value]) => value))
  }

  assert.isNull(migrate(db, 0))

  const rows = db.prepare("SELECT queue_ms, first_token_ms FROM record ORDER BY number").all()
  assert.deepStrictEqual(
    rows.map((row) => ({ ...row })),
    [
      { queue_ms: 7, first_token_ms: 11 },
      { queue_ms: null, first_token_ms: null }
    ]
  )
  db.close()
})
