/** A schema of its own for each test file, in the database that `POSTGRES_URL` names: made by whoever connects first, dropped when the file is done. */
import { randomBytes } from "node:crypto"
import * as Driver from "@effect/sql-pg/PgClient"
import { Context, Effect, Layer, ManagedRuntime, Redacted } from "effect"
import { afterAll, describe, it } from "vitest"
import * as PgClient from "../../../src/layers/postgres/PgClient.ts"
import * as PgDaemons from "../../../src/layers/postgres/PgDaemons.ts"
import * as PgState from "../../../src/layers/postgres/PgState.ts"
import { until } from "../../support/Until.ts"

export const POSTGRES_URL = process.env["POSTGRES_URL"]

export const serverUrl = new URL(POSTGRES_URL ?? "postgres://nobody@127.0.0.1:1/nothing")

export type SchemaOptions = PgClient.PgOptions & { readonly schema: string; readonly applicationName: string }

const raw = (schema: string, url: URL = serverUrl) =>
  Driver.layer({
    url: Redacted.make(url.href),
    maxConnections: 1,
    applicationName: "shell",
    startupParameters: { search_path: `"${schema}"` }
  })

const inShell = <A, E>(
  schema: string,
  use: (sql: Driver.PgClient) => Effect.Effect<A, E>,
  url: URL = serverUrl
): Promise<A> => Effect.runPromise(Effect.flatMap(Driver.PgClient, use).pipe(Effect.provide(raw(schema, url))))

/** Runs statements past our own client, as an operator with a shell would. Answers with the rows of the last. */
export const shell = <Row extends object = Record<string, unknown>>(
  schema: string,
  ...statements: ReadonlyArray<string>
): Promise<ReadonlyArray<Row>> =>
  inShell(schema, (sql) =>
    Effect.gen(function* () {
      let rows: ReadonlyArray<Row> = []
      for (const statement of statements) rows = yield* sql.unsafe<Row>(statement)
      return rows
    })
  )

/** What the server says against a statement, of the role that the URL names. */
export const objectionTo = (schema: string, statement: string, url: URL = serverUrl): Promise<string> =>
  inShell(
    schema,
    (sql) => Effect.map(Effect.flip(sql.unsafe(statement)), ({ reason }) => (reason.cause as Error).message),
    url
  )

/** A shell in a transaction that has begun with these statements; `end` takes them back. */
export const holding = async (schema: string, ...statements: ReadonlyArray<string>) => {
  const runtime = ManagedRuntime.make(raw(schema))
  const run = (statement: string) => runtime.runPromise(Effect.flatMap(Driver.PgClient, (sql) => sql.unsafe(statement)))
  for (const statement of ["BEGIN", ...statements]) await run(statement)
  return { end: () => run("ROLLBACK").then(() => runtime.dispose()) }
}

/** Backends of this client that wait for a lock, once there are some. */
export const whoWaits = (applicationName: string): Promise<ReadonlyArray<number>> =>
  until("a statement that waits for a lock", async () => {
    const rows = await shell<{ pid: number }>(
      "public",
      `SELECT pid FROM pg_stat_activity WHERE application_name = '${applicationName}' AND wait_event_type = 'Lock'`
    )
    return rows.length > 0 && rows.map(({ pid }) => pid)
  })

/** Options of a client in a new schema: for a file or a `describe`, whose end drops it after all that was registered later. */
export const freshSchema = (name: string): SchemaOptions => {
  const schema = `test_${name}_${randomBytes(4).toString("hex")}`
  if (POSTGRES_URL !== undefined) {
    afterAll(async () => void (await shell("public", `DROP SCHEMA IF EXISTS "${schema}" CASCADE`)))
  }
  return { url: Redacted.make(serverUrl.href), schema, connectionsMax: 6, applicationName: schema }
}

/** Heartbeats of the suites are at invented times, which the server's clock knows nothing of. */
const AT_ITS_WORD = { lookAgainMs: 300, silentMs: null, settledMs: 0 }

const contracts = PgState.over(PgDaemons.layerWith(AT_ITS_WORD))

/** One daemon's client and its contracts, until it is disposed of. */
export const openClient = (options: PgClient.PgOptions) =>
  ManagedRuntime.make(Layer.provideMerge(contracts, PgClient.layer(options)))

/** The same for a whole file or a `describe`. */
export const clientOf = (options: PgClient.PgOptions) => {
  const runtime = openClient(options)
  afterAll(() => runtime.dispose())
  return runtime
}
export type Client = ReturnType<typeof clientOf>

/** The layer of a runtime that lives already. */
export const layerOf = <R, E>(runtime: ManagedRuntime.ManagedRuntime<R, E>): Layer.Layer<R, E> =>
  Layer.effectContext(runtime.contextEffect as Effect.Effect<Context.Context<R>, E>)

/** `suites`, or one line that says why not. */
export const withPostgres = (what: string, suites: () => void): void => {
  if (POSTGRES_URL !== undefined) return suites()
  console.warn(`skipped: ${what}; set POSTGRES_URL to a PostgreSQL server`)
  // Not the suites themselves, which would count as covered.
  describe.skip(what, () => it("needs a server", () => {}))
}
