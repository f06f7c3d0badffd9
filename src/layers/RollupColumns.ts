/** The tables of rollups, once for both databases: which column holds which field, and how a stored value becomes a field again. */
import type { RollupDefinition, RollupRow } from "../schemas/Rollup.ts"

/** whole: a number. amount: micro-credits, exact at any size. */
export type ColumnKind = "text" | "whole" | "amount"

export interface RollupColumn {
  readonly field: string
  readonly column: string
  readonly kind: ColumnKind
}

export interface RollupTable {
  readonly name: string
  /** With `period`, what tells a row. The text of `keyOf`. */
  readonly key: string
  readonly columns: ReadonlyArray<RollupColumn>
}

const snake = (field: string): string => field.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

const columns = (kinds: Readonly<Record<string, ColumnKind>>): ReadonlyArray<RollupColumn> =>
  Object.entries(kinds).map(([field, kind]) => ({ field, column: snake(field), kind }))

export const TABLES: Readonly<Record<RollupDefinition, RollupTable>> = {
  credits: {
    name: "rollup_credits",
    key: "namespace_id",
    columns: columns({
      period: "whole",
      namespaceId: "text",
      firstSeq: "whole",
      lastSeq: "whole",
      opened: "whole",
      ended: "whole",
      granted: "amount",
      reserved: "amount",
      settled: "amount",
      refunded: "amount",
      grantedAtEnd: "amount",
      availableAtEnd: "amount",
      reservedAtEnd: "amount",
      spentAtEnd: "amount",
      openJobsAtEnd: "whole"
    })
  },
  jobs: {
    name: "rollup_jobs",
    key: "key",
    columns: columns({
      period: "whole",
      environment: "text",
      namespaceId: "text",
      model: "text",
      mode: "text",
      state: "text",
      jobs: "whole",
      promptTokens: "whole",
      outputTokens: "whole",
      cost: "amount",
      totalMs: "whole",
      started: "whole",
      queueMs: "whole"
    })
  },
  accounts: {
    name: "rollup_accounts",
    key: "environment",
    columns: columns({
      period: "whole",
      environment: "text",
      namespaces: "whole",
      keys: "whole",
      openJobs: "whole",
      granted: "amount",
      available: "amount",
      reserved: "amount",
      spent: "amount"
    })
  }
}

/** In which rows of a definition come, one after the other. */
export const DEFINITIONS: ReadonlyArray<RollupDefinition> = ["credits", "jobs", "accounts"]

/** A stored row, its columns under the names of the fields, as text, number or bigint. */
export const rollupOf = (definition: RollupDefinition, stored: Readonly<Record<string, unknown>>): RollupRow => {
  const fields = TABLES[definition].columns.map(({ field, kind }) => [field, valueOf(kind, stored[field])] as const)
  // What is read was written from a row.
  return { definition, ...Object.fromEntries(fields) } as unknown as RollupRow
}

const valueOf = (kind: ColumnKind, value: unknown): string | number | bigint => {
  switch (kind) {
    case "text":
      return String(value)
    case "whole":
      return Number(value)
    case "amount":
      return BigInt(value as string | number | bigint)
  }
}

/** Its values in the order of the columns, amounts as decimal text. */
export const valuesOf = (row: RollupRow): ReadonlyArray<string | number> => {
  const fields: Readonly<Record<string, unknown>> = { ...row }
  return TABLES[row.definition].columns.map(({ field, kind }) =>
    kind === "whole" ? Number(fields[field]) : String(fields[field])
  )
}
