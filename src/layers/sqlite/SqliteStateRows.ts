/**
 * The deciding store's rows in their logical form, in SQLite. Free text stands raw in its columns and a lane as an array; both are given the form
 * that they have everywhere else, also where rows are put in order.
 */
import type { SQLInputValue, SQLOutputValue } from "node:sqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type * as Schema from "effect/Schema"
import { canonicalJson } from "../../schemas/CanonicalJson.ts"
import {
  type ColumnType,
  STATE,
  type StateColumn,
  type StateRow,
  type StateTable,
  type StateValue
} from "../../schemas/StateTable.ts"
import { type Filling, inView, make, notEmpty, ROWS_MAX, StateRows, type StoredTable } from "../StateRows.ts"
import type { Outage } from "../Outage.ts"
import { SqliteClient } from "./SqliteClient.ts"
import { exitOf } from "./SqliteErrors.ts"
import type { Sql } from "./Statements.ts"

const during = (method: string) => ({ of: "StateRows", method })

const TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"

const tablesOf = (sql: Sql): ReadonlyArray<StoredTable> =>
  sql(TABLES)
    .all()
    .map(({ name }) => ({ name: String(name), columns: columnsOf(sql, String(name)) }))

const columnsOf = (sql: Sql, table: string): ReadonlyArray<string> =>
  sql("SELECT name FROM pragma_table_info(?) ORDER BY cid")
    .all(table)
    .map(({ name }) => String(name))

/** By the form that the value has in a row. */
const inOrder = ({ name, type }: StateColumn): string => (type === "free" ? `json_quote(${name})` : name)

const select = ({ name, columns, key }: StateTable): string =>
  `SELECT ${columns.map((column) => column.name).join(", ")} FROM ${name}
    ORDER BY ${key
      .flatMap((at) => columns[at] ?? [])
      .map(inOrder)
      .join(", ")}`

const canonical = (text: string): string => canonicalJson(JSON.parse(text) as Schema.Json)

const LANE = ["environment", "subcloud", "model", "priority"] as const

const toLogical = (type: ColumnType, stored: SQLOutputValue | undefined): StateValue => {
  if (stored === null || stored === undefined) return null
  if (typeof stored === "bigint") return Number.isSafeInteger(Number(stored)) ? Number(stored) : stored
  if (typeof stored !== "string") return stored as number
  switch (type) {
    case "free":
      return JSON.stringify(stored)
    case "json":
    case "facts":
      return canonical(stored)
    case "lane": {
      const parts = JSON.parse(stored) as ReadonlyArray<string>
      return canonicalJson(Object.fromEntries(LANE.map((field, at) => [field, parts[at] ?? ""])))
    }
    default:
      return stored
  }
}

const toStored = (type: ColumnType, value: StateValue): SQLInputValue => {
  if (typeof value !== "string") return value
  switch (type) {
    case "free":
      return JSON.parse(value) as string
    case "lane": {
      const lane = JSON.parse(value) as Readonly<Record<string, string>>
      return JSON.stringify(LANE.map((field) => lane[field] ?? ""))
    }
    default:
      return value
  }
}

const rowsIn = (sql: Sql, table: StateTable): Stream.Stream<ReadonlyArray<StateRow>, Outage> =>
  Stream.suspend(() => {
    const statement = sql(select(table))
    statement.setReadBigInts(true)
    const page = (rows: Rows) =>
      attempt("rows", () => {
        const batch = take(rows, table)
        return [[batch], batch.length < ROWS_MAX ? Option.none<Rows>() : Option.some(rows)] as const
      })
    const all: Rows = statement.iterate()
    // Others get their turn between two batches.
    return Stream.paginate(all, (rows) => Effect.andThen(Effect.yieldNow, page(rows)))
  })

type Rows = Iterator<Record<string, SQLOutputValue>>

const attempt = <A>(method: string, run: () => A): Effect.Effect<A, Outage> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(run())
    } catch (cause) {
      return exitOf(during(method), cause)
    }
  })

const take = (rows: Rows, { columns }: StateTable): ReadonlyArray<StateRow> => {
  const batch: Array<StateRow> = []
  while (batch.length < ROWS_MAX) {
    const next = rows.next()
    if (next.done === true) break
    const { value } = next
    batch.push(columns.map(({ name, type }) => toLogical(type, value[name])))
  }
  return batch
}

/** Column names of the table itself come from the program; values travel as parameters. */
const insert = ({ name, columns, passing, seeded }: StateTable, stored: ReadonlyArray<string>): string => {
  const given = columns.map((column) => column.name)
  const filled = Object.entries(passing).filter(([column, by]) => by !== null && stored.includes(column))
  return `INSERT ${seeded ? "OR REPLACE " : ""}INTO ${name} (${[...given, ...filled.map(([column]) => column)].join(", ")})
    SELECT ${[...given, ...filled.map(([, by]) => by)].join(", ")}
    FROM (SELECT ${given.map((column) => `? AS ${column}`).join(", ")})`
}

const write = (sql: Sql, { table, rows }: Filling): void => {
  const statement = sql(insert(table, columnsOf(sql, table.name)))
  for (const row of rows) statement.run(...table.columns.map(({ type }, at) => toStored(type, row[at] ?? null)))
}

const occupied = (sql: Sql): string | undefined =>
  STATE.find(({ name, seeded }) => !seeded && sql(`SELECT 1 FROM ${name} LIMIT 1`).get() !== undefined)?.name

export const layer: Layer.Layer<StateRows, never, SqliteClient> = Layer.effect(
  StateRows,
  Effect.gen(function* () {
    const client = yield* SqliteClient
    let open = false
    const sole = Effect.acquireRelease(
      Effect.suspend(() => {
        if (open) return Effect.fail(inView)
        open = true
        return Effect.void
      }),
      () => Effect.sync(() => void (open = false))
    )
    return make({
      tables: client.read(during("tables"), tablesOf),
      view: (use) =>
        Effect.scoped(
          Effect.gen(function* () {
            yield* sole
            const sql = yield* client.view(during("view"))
            return yield* use({
              count: ({ name }) =>
                attempt("count", () => Number(sql(`SELECT count(*) AS count FROM ${name}`).get()?.["count"])),
              rows: (table) => rowsIn(sql, table)
            })
          })
        ),
      fill: (fillings) =>
        Effect.scoped(
          Effect.gen(function* () {
            const sql = yield* client.alone(during("fill"))
            const table = occupied(sql)
            if (table !== undefined) return yield* notEmpty(table)
            let written = 0
            yield* Stream.runForEach(fillings, (filling) =>
              attempt("fill", () => {
                write(sql, filling)
                written += filling.rows.length
              })
            )
            yield* attempt("fill", () => {
              sql("COMMIT").run()
              sql("PRAGMA wal_checkpoint(TRUNCATE)").get()
            })
            return written
          })
        )
    })
  })
)
