/**
 * What a snapshot of the deciding store costs, row by row: made, made again after one change, verified, and restored into an empty store; beside the
 * same rows only read, and only written from memory. `SNAPSHOT_JOBS` says of how many jobs (50,000, with some seven rows each); on SQLite in a folder,
 * and on the server of `POSTGRES_URL`. Cold storage is a folder, and every block in it is synced.
 */
import { randomBytes } from "node:crypto"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer, Redacted, Stream } from "effect"
import type { Driver } from "../src/layers/Archive.ts"
import { CreditLedger } from "../src/layers/CreditLedger.ts"
import * as FileArchive from "../src/layers/files/FileArchive.ts"
import { JobRecords } from "../src/layers/JobRecords.ts"
import * as PgClient from "../src/layers/postgres/PgClient.ts"
import * as PgCreditLedger from "../src/layers/postgres/PgCreditLedger.ts"
import * as PgStateRows from "../src/layers/postgres/PgStateRows.ts"
import * as SqliteClient from "../src/layers/sqlite/SqliteClient.ts"
import * as SqliteCreditLedger from "../src/layers/sqlite/SqliteCreditLedger.ts"
import * as SqliteStateRows from "../src/layers/sqlite/SqliteStateRows.ts"
import { type Filling, ROWS_MAX, StateRows } from "../src/layers/StateRows.ts"
import { Credits } from "../src/schemas/Credits.ts"
import { NamespaceId } from "../src/schemas/Ids.ts"
import type { SnapshotHead } from "../src/schemas/Snapshot.ts"
import { STATE } from "../src/schemas/StateTable.ts"
import { inColdStorage } from "../src/snapshots/Blocks.ts"
import { create } from "../src/snapshots/Creating.ts"
import * as Heads from "../src/snapshots/Heads.ts"
import { restore } from "../src/snapshots/Restoring.ts"
import { headOf, verifyIn } from "../src/snapshots/Snapshots.ts"
import { orderPostgres } from "../test/support/Installation.ts"
import { testKey } from "../test/support/networkKey.ts"
import { aState, fillingsOf } from "../test/support/stateFactories.ts"
import { bytes, type Line, rate, times } from "./support/Line.ts"

const JOBS = Number(process.env["SNAPSHOT_JOBS"] ?? 50_000)
/** So many that each can pay for its jobs. */
const NAMESPACES = Math.max(8, Math.ceil(JOBS / 5_000))
const AT = 1_790_000_000_000
const quiet = () => Effect.void

interface Store {
  readonly name: string
  /** A new and empty one each time. */
  readonly layer: () => Layer.Layer<StateRows | CreditLedger, unknown>
}

/** Rows a second of what says how many rows it took. */
const rateOf = <E, R>(run: Effect.Effect<number, E, R>) =>
  Effect.gen(function* () {
    const began = performance.now()
    const rows = yield* run
    return (rows * 1000) / (performance.now() - began)
  })

const written = (fillings: ReadonlyArray<Filling>) =>
  Effect.flatMap(StateRows, ({ fill }) => fill(Stream.fromIterable(fillings)))

const read = Effect.flatMap(StateRows, ({ view }) =>
  view(({ rows }) =>
    Stream.fromIterable(STATE).pipe(
      Stream.flatMap(rows),
      Stream.runFold(
        () => 0,
        (count, batch) => count + batch.length
      )
    )
  )
)

const oneChange = Effect.flatMap(CreditLedger, ({ grant }) =>
  grant({ namespaceId: NamespaceId.make("ns_1s00000001"), amount: Credits.make(5n), reference: "bench", at: AT })
)

const snapshot = (blobs: Driver, at: number) =>
  Effect.flatMap(StateRows, (rows) => {
    const records = JobRecords.of({ get: () => Effect.succeed(null) } as never)
    return create({ rows, blobs, key: testKey, environment: "testnet", records }, { at, full: false }, quiet)
  })

/** The original: written, read, and two snapshots made of it. */
const original = (blobs: Driver, fillings: ReadonlyArray<Filling>) =>
  Effect.gen(function* () {
    const fromMemory = yield* rateOf(written(fillings))
    const bare = yield* rateOf(read)
    const first = yield* rateOf(Effect.map(snapshot(blobs, AT), ({ rows }) => rows))
    yield* oneChange
    const second = yield* rateOf(Effect.map(snapshot(blobs, AT + 1), ({ rows }) => rows))
    return { fromMemory, bare, first, second }
  })

const restored = (blobs: Driver, { sealed }: SnapshotHead) =>
  Effect.flatMap(StateRows, (store) =>
    Effect.map(restore(inColdStorage(blobs), Heads.cidIn(sealed), store, null, quiet), ({ rows }) => rows)
  )

const measure = (store: Store, fillings: ReadonlyArray<Filling>, cold: string): Promise<ReadonlyArray<Line>> =>
  Effect.gen(function* () {
    yield* Effect.sync(() => mkdirSync(cold))
    const blobs = FileArchive.driver(cold)
    const { fromMemory, bare, first, second } = yield* Effect.provide(original(blobs, fillings), store.layer())
    const [one, two] = [yield* headOf(blobs, 1), yield* headOf(blobs, 2)]
    const verified = yield* rateOf(Effect.map(verifyIn(blobs, 2, null, quiet), ({ rows }) => rows))
    const back = yield* Effect.provide(rateOf(restored(blobs, two)), store.layer())
    const line = (what: string, perSecond: number, base: number, of: string): Line => ({
      what: `${store.name}: ${what}`,
      value: rate(perSecond),
      against: `${of}: ${rate(base)}`,
      ratio: times(perSecond / base)
    })
    const size = (head: SnapshotHead) => `${head.blocksAdded} blocks, ${bytes(head.bytesAdded)}`
    return [
      line(`snapshot made, ${one.rows.toLocaleString("en")} rows (${size(one)})`, first, bare, "the rows read"),
      line(`snapshot made again after one grant (${size(two)})`, second, bare, "the rows read"),
      line("snapshot verified", verified, bare, "the rows read"),
      line("snapshot restored", back, fromMemory, "the rows written from memory")
    ]
  }).pipe(Effect.runPromise)

const inFolder = async <A>(use: (folder: string) => Promise<A>): Promise<A> => {
  const folder = mkdtempSync(join(tmpdir(), "bench-snapshots-"))
  try {
    return await use(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const onSqlite = (fillings: ReadonlyArray<Filling>) =>
  inFolder((folder) => {
    let stores = 0
    const contracts = Layer.mergeAll(SqliteStateRows.layer, SqliteCreditLedger.layer)
    const layer = () =>
      Layer.provide(contracts, SqliteClient.layer({ path: join(folder, String(++stores), "resultity.db") }))
    return measure({ name: "SQLite", layer }, fillings, join(folder, "cold"))
  })

const onPostgres = (url: string, fillings: ReadonlyArray<Filling>) =>
  inFolder(async (folder) => {
    const schemas: Array<string> = []
    const contracts = Layer.mergeAll(PgStateRows.layer, PgCreditLedger.layer)
    const layer = () => {
      const schema = `bench_${randomBytes(4).toString("hex")}`
      schemas.push(schema)
      return Layer.provide(contracts, PgClient.layer({ url: Redacted.make(url), schema }))
    }
    try {
      return await measure({ name: "PostgreSQL", layer }, fillings, join(folder, "cold"))
    } finally {
      await orderPostgres(schemas.map((schema) => `DROP SCHEMA IF EXISTS "${schema}" CASCADE`))
    }
  })

/** In batches, as a restore brings them. */
const fillingsInBatches = (): ReadonlyArray<Filling> =>
  fillingsOf(aState({ namespaces: NAMESPACES, jobs: JOBS })).flatMap(({ table, rows }) =>
    Array.from({ length: Math.ceil(rows.length / ROWS_MAX) }, (_, at) => ({
      table,
      rows: rows.slice(at * ROWS_MAX, (at + 1) * ROWS_MAX)
    }))
  )

export const run = async (): Promise<Array<Line>> => {
  const fillings = fillingsInBatches()
  const url = process.env["POSTGRES_URL"]
  const lines = [...(await onSqlite(fillings))]
  if (url === undefined) console.warn("skipped: snapshots of PostgreSQL; set POSTGRES_URL to a PostgreSQL server")
  else lines.push(...(await onPostgres(url, fillings)))
  return lines
}
