/**
 * The deciding store that a restore fills, for whoever has no daemon: the file of a data folder, or a schema of PostgreSQL, by the daemon's own
 * options. Opening migrates it, as a daemon's start would; who is in the way is told in one sentence.
 */
import { join, resolve } from "node:path"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { readOptions } from "./DaemonOptions.ts"
import { Outage } from "./layers/Outage.ts"
import * as PgClient from "./layers/postgres/PgClient.ts"
import * as PgStateRows from "./layers/postgres/PgStateRows.ts"
import * as SqliteClient from "./layers/sqlite/SqliteClient.ts"
import * as SqliteStateRows from "./layers/sqlite/SqliteStateRows.ts"
import { StateRows } from "./layers/StateRows.ts"

export interface Store {
  /** As a person would say it, without a password. */
  readonly name: string
  readonly rows: StateRows["Service"]
}

export class StoreFailed extends Data.TaggedError("StoreFailed")<{
  /** unclear: what was asked for cannot be. used: somebody is there. away: another try may succeed. */
  readonly reason: "unclear" | "used" | "away"
  readonly message: string
}> {}

/** Options of the daemon; the words are those of its command line, `--data=…`. */
export interface StoreWords {
  readonly words: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string | undefined>>
}

/** Nothing else of the surroundings matters here. */
const VARIABLES = ["RESULTITY_DATA", "POSTGRES_URL", "POSTGRES_OWNER_URL", "RESULTITY_INSTALLATION"] as const

/** How long a server that is not there is waited for: a person looks on. */
const START_MS = 5_000

/** A data folder when the words name one, else PostgreSQL. */
export const open = ({ words, env }: StoreWords) =>
  Effect.gen(function* () {
    const own = Object.fromEntries(VARIABLES.map((name) => [name, env[name]]))
    const options = readOptions(words, own)
    if (Result.isFailure(options)) return yield* new StoreFailed({ reason: "unclear", message: options.failure })
    if (options.success === "help") return yield* new StoreFailed({ reason: "unclear", message: "no store is named" })
    const { data, postgresUrl, postgresOwnerUrl, installation } = options.success
    const isFolder = words.some((word) => word.startsWith("--data="))
    if (isFolder) return yield* openFolder(resolve(data))
    const url = postgresOwnerUrl ?? postgresUrl
    if (url === null) {
      const message = "where to? --data DIR for a data folder, or --postgres-url URL (POSTGRES_URL)"
      return yield* new StoreFailed({ reason: "unclear", message })
    }
    return yield* openSchema(url, installation)
  })

const openFolder = (folder: string) =>
  Layer.build(Layer.provide(SqliteStateRows.layer, SqliteClient.layer({ path: join(folder, "resultity.db") }))).pipe(
    Effect.flatMap((context) => Effect.provide(StateRows, context)),
    Effect.map((rows): Store => ({ name: folder, rows })),
    Effect.mapError(failed)
  )

const openSchema = (url: string, schema: string) =>
  Layer.build(
    Layer.provide(PgStateRows.layer, PgClient.layer({ url: Redacted.make(url), schema, startMs: START_MS }))
  ).pipe(
    Effect.flatMap((context) => Effect.provide(StateRows, context)),
    Effect.map((rows): Store => ({ name: `the schema ${schema} at ${new URL(url).host}`, rows })),
    Effect.mapError(failed)
  )

const failed = (error: Outage | { readonly _tag: string; readonly message: string }): StoreFailed => {
  if (error instanceof Outage) {
    const { cause } = error
    return new StoreFailed({ reason: "away", message: cause instanceof Error ? cause.message : String(cause) })
  }
  return new StoreFailed({ reason: "used", message: error.message })
}
