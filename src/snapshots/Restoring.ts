/**
 * A snapshot back into rows of a store that is empty. Each block is hashed before its rows are written, and all rows are one transaction: a broken
 * block leaves the store empty. A fork is the same under another environment, without what belongs to the clients of the original.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { CID } from "multiformats/cid"
import type { Outage } from "../layers/Outage.ts"
import type { Filling, StateRows } from "../layers/StateRows.ts"
import { canonicalJson } from "../schemas/CanonicalJson.ts"
import type { Environment } from "../schemas/Job.ts"
import { refuse, type Refusal } from "../schemas/Refusal.ts"
import { type ColumnType, STATE, type StateRow, type StateTable, type StateValue } from "../schemas/StateTable.ts"
import type { WorkProgress } from "../schemas/Work.ts"
import { type BlockSource, BrokenSnapshot } from "./Blocks.ts"
import { isSealed } from "./Seals.ts"
import type { Table } from "./Shapes.ts"
import { openSnapshot, openTable, rowsOf } from "./Walking.ts"

export interface Fork {
  readonly environment: Environment
  /** Clients of the original may come in with the keys that they have. */
  readonly keepKeys: boolean
}

export interface Restored {
  readonly number: number
  readonly rows: number
  readonly environment: Environment
}

type Report = (progress: WorkProgress) => Effect.Effect<void>

/** `fork` null: everything as it was. */
export const restore = Effect.fnUntraced(function* (
  source: BlockSource,
  sealed: CID,
  store: StateRows["Service"],
  fork: Fork | null,
  report: Report
): Effect.fn.Return<Restored, BrokenSnapshot | Refusal | Outage> {
  const opened = yield* openSnapshot(source, sealed)
  if (!isSealed(opened.sealed)) return yield* broken(sealed, "seal", "has a signature that is not of its signer")
  const unknown = Object.entries(opened.state.tables).find(([name]) => !STATE.some((table) => table.name === name))
  if (unknown !== undefined) {
    return yield* broken(unknown[1], unknown[0], "is of a table that this program does not know: use a newer one")
  }
  const tables: Array<readonly [StateTable, Table]> = []
  for (const table of STATE) {
    const cid = opened.state.tables[table.name]
    // Of an earlier program, which had no such table.
    if (cid === undefined) continue
    const stored = yield* openTable(source, table.name, cid)
    if (stored.version !== table.version || !hasColumns(table, stored)) {
      return yield* broken(
        cid,
        table.name,
        `is of form ${stored.version}, and this program knows form ${table.version}`
      )
    }
    if (fork === null || isKept(table, fork)) tables.push([table, stored])
  }
  const names = new Names()
  const total = tables.reduce((sum, [, { rows }]) => sum + rows, 0)
  let done = 0
  const fillings = Stream.fromIterable(tables).pipe(
    Stream.rechunk(1),
    Stream.flatMap(([table, stored]) =>
      Stream.mapEffect(rowsOf(source, stored), (rows) => {
        const filling = fillingOf(table, rows, fork)
        return fork === null ? Effect.succeed(filling) : Effect.fromResult(names.apart(filling))
      })
    ),
    Stream.tap(({ rows }) => {
      done += rows.length
      return report({ done, total, unit: "rows", bytes: 0 })
    })
  )
  const rows = yield* store.fill(fillings)
  return { number: opened.snapshot.number, rows, environment: fork?.environment ?? opened.snapshot.environment }
})

const broken = (cid: CID, table: string, why: string) => new BrokenSnapshot({ block: cid.toString(), table, why })

const hasColumns = (table: StateTable, stored: Table): boolean =>
  table.columns.length === stored.columns.length &&
  table.columns.every(({ name, type }, at) => stored.columns[at]?.[0] === name && stored.columns[at]?.[1] === type)

const isKept = ({ inFork }: StateTable, { keepKeys }: Fork): boolean =>
  inFork === "kept" || (inFork === "asked" && keepKeys)

const fillingOf = (table: StateTable, rows: ReadonlyArray<StateRow>, fork: Fork | null): Filling => ({
  table,
  rows:
    fork === null
      ? rows
      : rows.map((row) => row.map((value, at) => renamed(table.columns[at]?.type ?? "text", value, fork.environment)))
})

/**
 * What had its name in one of two environments may meet another of that name in a fork. Of models one is as good as the other; namespaces are not.
 */
class Names {
  readonly #seen = new Set<string>()

  apart({ table, rows }: Filling): Result.Result<Filling, Refusal> {
    const name = table.columns.findIndex((column) => column.name === "name")
    if (table.name !== "namespace" && table.name !== "model") return Result.succeed({ table, rows })
    const fresh = rows.filter((row) => {
      const known = `${table.name} ${String(row[name])}`
      return this.#seen.size < this.#seen.add(known).size
    })
    if (table.name === "model" || fresh.length === rows.length) return Result.succeed({ table, rows: fresh })
    const twice = rows.find((row) => !fresh.includes(row))
    return Result.fail(
      refuse(
        "conflict",
        `Two namespaces of different environments are named ${String(twice?.[name])}: in a fork they would be one.`
      )
    )
  }
}

/** The environment stands in columns of its own, in lanes, and in the facts of jobs. */
const renamed = (type: ColumnType, value: StateValue, environment: Environment): StateValue => {
  if (typeof value !== "string") return value
  if (type === "environment") return environment
  if (type !== "lane" && type !== "facts") return value
  return canonicalJson({ ...(JSON.parse(value) as Readonly<Record<string, never>>), environment })
}
