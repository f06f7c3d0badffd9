/** B32 over real stores: a snapshot of one restored into another, and snapshotted there, is the same state, whichever back ends they are. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { CreditLedger } from "../../src/layers/CreditLedger.ts"
import { Audit, type AuditFact } from "../../src/layers/Audit.ts"
import { Namespaces } from "../../src/layers/Namespaces.ts"
import * as PgClient from "../../src/layers/postgres/PgClient.ts"
import * as PgStateRows from "../../src/layers/postgres/PgStateRows.ts"
import * as SqliteClient from "../../src/layers/sqlite/SqliteClient.ts"
import * as SqliteState from "../../src/layers/sqlite/SqliteState.ts"
import * as SqliteStateRows from "../../src/layers/sqlite/SqliteStateRows.ts"
import { StateRows } from "../../src/layers/StateRows.ts"
import { inColdStorage } from "../../src/snapshots/Blocks.ts"
import * as Heads from "../../src/snapshots/Heads.ts"
import { restore } from "../../src/snapshots/Restoring.ts"
import { clientOf, freshSchema, layerOf, withPostgres } from "../layers/postgres/PgSchema.ts"
import { admitted } from "../layers/contracts/StateProbes.ts"
import { fundedNamespace } from "../support/factories.ts"
import { aState } from "../support/stateFactories.ts"
import { coldStorage, fill, quiet, snapshotOf } from "./Bench.ts"

const anAuditFact = (): AuditFact => ({
  actor: "operator/me",
  action: "test.mark",
  subject: "a/b",
  reason: `it's "é"\u0000😀`,
  detail: { b: 1, a: [null, "ü"] },
  at: 5
})

type Store = Layer.Layer<StateRows, unknown>
const sqlite = (): Store => Layer.provide(SqliteStateRows.layer, SqliteClient.layer({ path: ":memory:" }))
const postgres = (): Store => Layer.provide(PgStateRows.layer, PgClient.layer(freshSchema("restore")))

/** Through all stores, each of its own: the state blocks of snapshots in each. */
const through = (sample: ReturnType<typeof aState>, stores: ReadonlyArray<Store>) =>
  Effect.gen(function* () {
    const cold = coldStorage()
    const states: Array<string> = []
    for (const store of stores) {
      const { state } = yield* Effect.gen(function* () {
        const rows = yield* StateRows
        const last = (yield* Heads.numbers(cold)).at(-1)
        if (last === undefined) yield* fill(rows, sample)
        else {
          const head = yield* Heads.read(cold, last)
          yield* restore(inColdStorage(cold), Heads.cidIn(head!.sealed), rows, null, quiet)
        }
        return yield* snapshotOf(rows, cold)
      }).pipe(Effect.provide(store, { local: true }))
      states.push(state)
    }
    return states
  })

const SIZES = [
  { namespaces: 1, jobs: 0 },
  { namespaces: 3, jobs: 5, seed: 7 },
  { namespaces: 8, jobs: 1200, seed: 8, mainnet: 2 }
]

it.live("B32: SQLite, restored and snapshotted again, is the same state", () =>
  Effect.gen(function* () {
    for (const size of SIZES) {
      const [one, other] = yield* through(aState(size), [sqlite(), sqlite()])
      assert.strictEqual(other, one)
    }
  })
)

withPostgres("B32 over PostgreSQL", () => {
  it.live("B32: SQLite to PostgreSQL, to another PostgreSQL and back is the same state", () =>
    Effect.gen(function* () {
      for (const size of SIZES) {
        const states = yield* through(aState(size), [sqlite(), postgres(), postgres(), sqlite()])
        assert.strictEqual(new Set(states).size, 1)
      }
    })
  )

  it.live("PostgreSQL's triggers are as before after a restore, and its numbers go on behind the last", () =>
    Effect.gen(function* () {
      const options = freshSchema("after")
      const client = PgClient.layer(options)
      yield* Effect.gen(function* () {
        yield* fill(yield* StateRows, aState({ namespaces: 2, jobs: 8 }))
        const { sql } = yield* PgClient.PgClient
        const off = yield* sql.unsafe<{ name: string }>(
          "SELECT tgname::text AS name FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid WHERE relnamespace = to_regnamespace($1) AND tgenabled <> 'O'",
          [`"${options.schema}"`]
        )
        assert.deepStrictEqual(off, [])
        const [last] = yield* sql.unsafe<{ seq: bigint }>("SELECT max(seq) AS seq FROM credit_entry")
        const [payer] = yield* sql.unsafe<{ id: string }>("SELECT id FROM namespace ORDER BY id DESC LIMIT 1")
        yield* sql.unsafe("SELECT * FROM grant_credits($1, 5::bigint, 'later', 1::bigint)", [payer!.id])
        const [next] = yield* sql.unsafe<{ seq: bigint }>("SELECT max(seq) AS seq FROM credit_entry")
        assert.strictEqual(next!.seq, last!.seq + 1n)
      }).pipe(Effect.provide(PgStateRows.layer.pipe(Layer.provideMerge(client)), { local: true }))
    })
  )

  it.live("rows that the contracts wrote, jobs and grants and audit, come through PostgreSQL's view as they are", () =>
    Effect.gen(function* () {
      const layer = layerOf(clientOf(freshSchema("lived")))
      const [cold, other] = [coldStorage(), sqlite()]
      const head = yield* Effect.gen(function* () {
        for (let n = 0; n < 3; n++) yield* admitted()
        yield* fundedNamespace(77)
        yield* (yield* Audit).append(anAuditFact())
        return yield* snapshotOf(yield* StateRows, cold)
      }).pipe(Effect.provide(layer))
      const again = yield* Effect.gen(function* () {
        yield* restore(inColdStorage(cold), Heads.cidIn(head.sealed), yield* StateRows, null, quiet)
        return yield* snapshotOf(yield* StateRows, coldStorage())
      }).pipe(Effect.provide(other, { local: true }))
      assert.strictEqual(again.state, head.state)
    })
  )
})

it.live("D258: after a restore the ledger audits clean, the audit's chain is whole, and a new job is admitted", () =>
  Effect.gen(function* () {
    const cold = coldStorage()
    const store = () => SqliteState.layer.pipe(Layer.provideMerge(SqliteClient.layer({ path: ":memory:" })))
    const head = yield* Effect.gen(function* () {
      yield* admitted()
      yield* (yield* Audit).append(anAuditFact())
      yield* (yield* Audit).append(anAuditFact())
      return yield* snapshotOf(yield* StateRows, cold)
    }).pipe(Effect.provide(store(), { local: true }))
    // The settings publish a first version when they are opened, so the rows go in before them.
    const client = yield* Layer.build(SqliteClient.layer({ path: ":memory:" }))
    const rows = yield* StateRows.pipe(Effect.provide(SqliteStateRows.layer), Effect.provide(client))
    yield* restore(inColdStorage(cold), Heads.cidIn(head.sealed), rows, null, quiet)
    yield* Effect.gen(function* () {
      assert.isNull(yield* (yield* Audit).verify)
      assert.strictEqual((yield* (yield* Audit).list(0, 10)).length, 2)
      for (const finding of yield* (yield* CreditLedger).audit) assert.fail(JSON.stringify(finding))
      assert.isAbove((yield* (yield* Namespaces).list).length, 0)
      yield* admitted()
    }).pipe(Effect.provide(SqliteState.layer), Effect.provide(client))
  })
)
