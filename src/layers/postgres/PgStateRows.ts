/**
 * The deciding store's rows in their logical form, in PostgreSQL. A view is one REPEATABLE READ transaction with a cursor a table; a session lock in it
 * keeps a second one out, in whatever daemon. A fill switches the triggers of the tables off and on within its one transaction, because balances and
 * moves come as rows of their own: so it is for the role that owns the tables.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type * as Schema from "effect/Schema"
import type { SqlClient } from "effect/sql/SqlClient"
import { canonicalJson } from "../../schemas/CanonicalJson.ts"
import {
  type ColumnType,
  STATE,
  type StateColumn,
  type StateRow,
  type StateTable,
  type StateValue
} from "../../schemas/StateTable.ts"
import type { Outage } from "../Outage.ts"
import { type Filling, inView, make, notEmpty, ROWS_MAX, StateRows, type StoredTable, type View } from "../StateRows.ts"
import { PgClient } from "./PgClient.ts"
import { explained } from "./PgErrors.ts"
import { text } from "./PgValues.ts"

const during = (method: string) => ({ of: "StateRows", method })

/** Cold storage may be slow to take what was read; the transaction waits for it. */
const IDLE_MAX = "15min"
/** Of one batch, and of a sort before the first. */
const STATEMENT_MAX = "10min"
/** Of all that lock in this database, views: "view". One lock a schema. */
const LOCK_CLASS = 0x76696577

interface StoredColumn {
  readonly name: string
  readonly columns: ReadonlyArray<string>
  readonly types: ReadonlyArray<string>
}

/** By the catalogue, of the one schema in the search path. */
const TABLES = `SELECT relname::text AS name, array_agg(attname::text ORDER BY attnum) AS columns,
    array_agg(format_type(atttypid, NULL) ORDER BY attnum) AS types
  FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
  WHERE relkind IN ('r', 'p') AND relnamespace = to_regnamespace($1::text) GROUP BY relname ORDER BY relname COLLATE "C"`

type Types = ReadonlyMap<string, ReadonlyMap<string, string>>

const typesOf = (stored: ReadonlyArray<StoredColumn>): Types =>
  new Map(stored.map(({ name, columns, types }) => [name, new Map(columns.map((one, at) => [one, types[at] ?? ""]))]))

const isArray = (types: Types, table: StateTable, column: StateColumn): boolean =>
  types.get(table.name)?.get(column.name)?.endsWith("[]") === true

const isText = ({ type }: StateColumn): boolean => type !== "int" && type !== "number"

const select = (types: Types, table: StateTable): string => {
  const { name, columns, key } = table
  const parts = columns.map((column) =>
    isArray(types, table, column)
      ? `to_json(${column.name})::text AS ${column.name}`
      : column.type === "amount"
        ? `${column.name}::text`
        : column.name
  )
  const order = key.flatMap((at) => columns[at] ?? []).map((one) => `${one.name}${isText(one) ? ' COLLATE "C"' : ""}`)
  return `SELECT ${parts.join(", ")} FROM ${name} ORDER BY ${order.join(", ")}`
}

const toLogical = (type: ColumnType, stored: unknown): StateValue => {
  if (stored === null || stored === undefined) return null
  if (typeof stored === "bigint") return Number.isSafeInteger(Number(stored)) ? Number(stored) : stored
  if (type === "json" || type === "facts" || type === "lane")
    return canonicalJson(JSON.parse(String(stored)) as Schema.Json)
  return stored as string | number
}

/** A lane's fields in the order in which `PgJobRows` writes them: equal lanes are equal texts. */
const toStored = (type: ColumnType, value: StateValue): string | number | null => {
  if (typeof value === "bigint") return String(value)
  if (type !== "lane" || typeof value !== "string") return value
  const { environment, subcloud, model, priority } = JSON.parse(value) as Readonly<Record<string, string>>
  return JSON.stringify({ environment, subcloud, model, priority })
}

const settle = (sql: SqlClient) =>
  Effect.andThen(
    sql.unsafe(`SET LOCAL idle_in_transaction_session_timeout = '${IDLE_MAX}'`),
    sql.unsafe(`SET LOCAL statement_timeout = '${STATEMENT_MAX}'`)
  )

const rowsIn = (sql: SqlClient, types: Types, table: StateTable): Stream.Stream<ReadonlyArray<StateRow>, Outage> => {
  const cursor = `rows_of_${table.name}`
  const explain = explained(during("rows"))
  const fetch = Effect.gen(function* () {
    const found = yield* sql.unsafe<Record<string, unknown>>(`FETCH ${ROWS_MAX} FROM ${cursor}`)
    const batch = found.map((row) => table.columns.map(({ name, type }) => toLogical(type, row[name])))
    if (batch.length === ROWS_MAX) return [[batch], Option.some(null)] as const
    yield* sql.unsafe(`CLOSE ${cursor}`)
    return [[batch], Option.none<null>()] as const
  })
  return Stream.unwrap(
    explain(
      Effect.as(
        sql.unsafe(`DECLARE ${cursor} NO SCROLL CURSOR FOR ${select(types, table)}`),
        Stream.paginate(null, () => explain(fetch))
      )
    )
  )
}

const ABOUT = "SELECT greatest(reltuples, 0)::float8 AS count FROM pg_class WHERE oid = to_regclass($1::text)"

const viewOf = (sql: SqlClient, types: Types): View => ({
  count: ({ name }) =>
    explained(during("count"))(
      Effect.map(sql.unsafe<{ count: number }>(ABOUT, [text(name)]), ([row]) => Math.round(row?.count ?? 0))
    ),
  rows: (table) => rowsIn(sql, types, table)
})

const replacing = ({ columns, key }: StateTable): string => {
  const names = columns.map(({ name }) => name)
  return ` ON CONFLICT (${key.map((at) => names[at]).join(", ")})
    DO UPDATE SET ${names.map((name) => `${name} = excluded.${name}`).join(", ")}`
}

/** An array comes as JSON text of one. */
const insert = (types: Types, table: StateTable): string => {
  const stored = types.get(table.name) ?? new Map<string, string>()
  const given = table.columns.map(({ name }) => name)
  const filled = Object.entries(table.passing).filter(([name, by]) => by !== null && stored.has(name))
  const values = table.columns.map((column) =>
    isArray(types, table, column) ? `ARRAY(SELECT json_array_elements_text(${column.name}::json))` : column.name
  )
  const typed = table.columns.map((column) =>
    isArray(types, table, column) ? `${column.name} text` : `${column.name} ${stored.get(column.name) ?? "text"}`
  )
  return `INSERT INTO ${table.name} (${[...given, ...filled.map(([name]) => name)].join(", ")}) OVERRIDING SYSTEM VALUE
    SELECT ${[...values, ...filled.map(([, by]) => by)].join(", ")}
    FROM json_to_recordset($1::json) AS row(${typed.join(", ")})${table.seeded ? replacing(table) : ""}`
}

const write = (sql: SqlClient, types: Types, { table, rows }: Filling) => {
  const objects = rows.map((row) =>
    Object.fromEntries(table.columns.map(({ name, type }, at) => [name, toStored(type, row[at] ?? null)]))
  )
  return sql.unsafe(insert(types, table), [text(JSON.stringify(objects))])
}

/** The next number of each identity column is beyond all that came in. */
const IDENTITIES = `SELECT relname::text AS name, attname::text AS column FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
  WHERE attidentity <> '' AND relnamespace = to_regnamespace($1::text)`
const advance = (name: string, column: string) =>
  `SELECT setval(pg_get_serial_sequence('${name}', '${column}'), greatest((SELECT max(${column}) FROM ${name}), 1),
    EXISTS (SELECT FROM ${name}))`

const occupied = (sql: SqlClient) =>
  Effect.gen(function* () {
    for (const { name, seeded } of STATE) {
      if (seeded) continue
      const found = yield* sql.unsafe(`SELECT FROM ${name} LIMIT 1`)
      if (found.length > 0) return yield* notEmpty(name)
    }
  })

const triggers = (sql: SqlClient, word: "ENABLE" | "DISABLE") =>
  Effect.forEach(STATE, ({ name }) => sql.unsafe(`ALTER TABLE ${name} ${word} TRIGGER USER`), { discard: true })

const fillIn = Effect.fnUntraced(function* <E, R>(
  sql: SqlClient,
  schema: string,
  types: Types,
  fillings: Stream.Stream<Filling, E, R>
) {
  yield* settle(sql)
  yield* occupied(sql)
  yield* triggers(sql, "DISABLE")
  let written = 0
  yield* Stream.runForEach(fillings, (filling) =>
    Effect.map(write(sql, types, filling), () => void (written += filling.rows.length))
  )
  yield* triggers(sql, "ENABLE")
  for (const { name, column } of yield* sql.unsafe<{ name: string; column: string }>(IDENTITIES, [text(schema)])) {
    yield* sql.unsafe(advance(name, column))
  }
  return written
})

export const layer: Layer.Layer<StateRows, never, PgClient> = Layer.effect(
  StateRows,
  Effect.map(PgClient, (client) => {
    const { sql, schema } = client
    const tables = client.query<StoredColumn>(during("tables"), TABLES, [text(`"${schema.replaceAll('"', '""')}"`)])
    return make({
      tables: Effect.map(tables, (found) => found.map(({ name, columns }): StoredTable => ({ name, columns }))),
      view: (use) =>
        Effect.gen(function* () {
          const types = typesOf(yield* tables)
          return yield* explained(during("view"))(
            sql.withTransaction(
              Effect.gen(function* () {
                yield* sql.unsafe("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                yield* settle(sql)
                const [{ got } = { got: false }] = yield* sql.unsafe<{ got: boolean }>(
                  `SELECT pg_try_advisory_xact_lock(${LOCK_CLASS}, hashtext(current_schema())) AS got`
                )
                if (!got) return yield* inView
                return yield* use(viewOf(sql, types))
              })
            )
          )
        }),
      fill: (fillings) =>
        Effect.gen(function* () {
          const types = typesOf(yield* tables)
          return yield* explained(during("fill"))(sql.withTransaction(fillIn(sql, schema, types, fillings)))
        })
    })
  })
)
