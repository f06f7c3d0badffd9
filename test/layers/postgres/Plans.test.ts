/** That every question walks an index, with the plan that a prepared statement keeps: made once, for any value, while the tables were empty. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { describe, it } from "vitest"
import { type Admission, JobStore } from "../../../src/layers/JobStore.ts"
import { admit } from "../../../src/layers/postgres/JobAdmission.ts"
import { claim, finish, release } from "../../../src/layers/postgres/JobMoves.ts"
import type { BatchedMethod } from "../../../src/layers/postgres/PgBatch.ts"
import { PgClient } from "../../../src/layers/postgres/PgClient.ts"
import { DUE, LANES, ORPHANS, WAITING } from "../../../src/layers/postgres/PgJobSurvey.ts"
import { EXPIRED } from "../../../src/layers/postgres/PgJobRowRetention.ts"
import { GET } from "../../../src/layers/postgres/PgJobStore.ts"
import { PENDING } from "../../../src/layers/postgres/PgOutbox.ts"
import { DUE as ENDED, LEAVES } from "../../../src/layers/postgres/PgReceipts.ts"
import { BALANCE, ENTRIES } from "../../../src/layers/postgres/PgCreditLedger.ts"
import {
  aClaim,
  aFinish,
  aJob,
  anAdmission,
  aRelease,
  fundedNamespace,
  livingDaemon,
  unique
} from "../../support/factories.ts"
import { clientOf, freshSchema, withPostgres } from "./PgSchema.ts"

const QUESTIONS = {
  get: { text: GET, types: "text[]", values: "'{job_a}'", index: "job_pkey" },
  due: { text: DUE, types: "bigint, bigint", values: "1, 10", index: "job_due" },
  waiting: { text: WAITING, types: "text, bigint, bigint", values: "'', 1, 10", index: "job_waiting" },
  orphans: { text: ORPHANS, types: "bigint", values: "10", index: "job_owned" },
  lanes: { text: LANES, types: "", values: "", index: "job_lane" },
  pending: { text: PENDING, types: "bigint, bigint", values: "1, 10", index: "outbox_due" },
  balance: { text: BALANCE, types: "text", values: "'ns_a'", index: "credit_balance_pkey" },
  ended: { text: ENDED, types: "bigint, text, bigint, bigint", values: "1, '', 10, 10", index: "job_ended" },
  expired: {
    text: EXPIRED,
    types: "bigint, bigint, bigint, text, bigint",
    values: "10, 10, 1, '', 10",
    index: "job_ended"
  },
  leaves: { text: LEAVES, types: "bigint, text, bigint", values: "1, '', 10", index: "receipt_leaf_of_hour" },
  entries: { text: ENTRIES, types: "text, bigint, bigint", values: "'ns_a', 0, 10", index: "credit_entry_pkey" }
} as const

const READS = `SELECT relname::text AS table, seq_scan AS scans, coalesce(idx_tup_fetch, 0) AS fetched
  FROM pg_stat_xact_user_tables WHERE schemaname = current_schema()`

/** What a body read of each table: by whole scans, and rows through indexes. */
const readsOf = <A, E>(body: Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const { sql } = yield* PgClient
    const counted = sql.unsafe<{ table: string; scans: bigint; fetched: bigint }>(READS)
    return yield* sql.withTransaction(
      Effect.gen(function* () {
        // The server may still hold counts of this connection from before.
        const before = new Map((yield* counted).map((row) => [row.table, row]))
        yield* body
        return (yield* counted).map(({ table, scans, fetched }) => ({
          table,
          scans: Number(scans - (before.get(table)?.scans ?? 0n)),
          fetched: Number(fetched - (before.get(table)?.fetched ?? 0n))
        }))
      })
    )
  })

const MANY = 400
const BATCH = 40

withPostgres("the plans of PostgreSQL", () => {
  const client = clientOf(freshSchema("plans"))

  describe("a batch of moves in PostgreSQL", () => {
    it("reads its own jobs and no others, whatever there was when its plan was made", async () => {
      await client.runPromise(
        Effect.gen(function* () {
          const { sql } = yield* PgClient
          const store = yield* JobStore
          const { id: namespaceId } = yield* fundedNamespace(1_000_000)
          const daemonId = yield* livingDaemon(0)
          const idempotency = () => ({ key: unique(), bodyHash: "body", expiresAt: 8_640_000_000_000_000 })
          const some = (count: number) =>
            Array.from({ length: count }, () => anAdmission(aJob({ namespaceId }), { idempotency: idempotency() }))
          const batches = <Item, Row extends object, Result, Error>(
            { text, parameters }: BatchedMethod<Item, Row, Result, Error>,
            items: ReadonlyArray<Item>
          ) => readsOf(sql.unsafe(text, parameters(items)))

          // Plans are made and kept while the tables are all but empty, and used when they are not.
          const first = some(1)
          const rowsOf = (admissions: ReadonlyArray<Admission>) =>
            Effect.forEach(admissions, ({ job }) => Effect.map(store.get(job.id), (row) => row!))
          const life = Effect.fnUntraced(function* (admissions: ReadonlyArray<Admission>) {
            const admits = yield* batches(admit, admissions)
            const claims = yield* batches(
              claim,
              (yield* rowsOf(admissions)).map((row) => aClaim(row, daemonId))
            )
            const releases = yield* batches(
              release,
              (yield* rowsOf(admissions)).map((row) => aRelease(row))
            )
            const finishes = yield* batches(
              finish,
              (yield* rowsOf(admissions)).map((row) => aFinish(row))
            )
            return { admits, claims, releases, finishes }
          })
          for (let times = 0; times < 8; times++) yield* life(times === 0 ? first : some(1))
          for (const admission of some(MANY)) yield* store.admit(admission)

          for (const [name, reads] of Object.entries(yield* life(some(BATCH)))) {
            for (const { table, scans, fetched } of reads) {
              assert.strictEqual(scans, 0, `${name} reads the whole of ${table}`)
              assert.isAtMost(fetched, 12 * BATCH, `${name} reads much of ${table}`)
            }
          }
        })
      )
    })
  })

  describe("a question to PostgreSQL", () => {
    for (const [name, { text, types, values, index }] of Object.entries(QUESTIONS)) {
      it(`walks ${index} and no whole table, when it asks ${name}`, async () => {
        const plan = await client.runPromise(
          Effect.gen(function* () {
            const { sql } = yield* PgClient
            return yield* sql.withTransaction(
              Effect.gen(function* () {
                yield* sql.unsafe("SET LOCAL plan_cache_mode = force_generic_plan")
                yield* sql.unsafe(`PREPARE question ${types === "" ? "" : `(${types})`} AS ${text}`)
                const arguments_ = values === "" ? "" : `(${values})`
                const rows = yield* sql.unsafe<{ "QUERY PLAN": string }>(`EXPLAIN EXECUTE question${arguments_}`)
                yield* sql.unsafe("DEALLOCATE question")
                return rows.map((row) => row["QUERY PLAN"]).join("\n")
              })
            )
          })
        )
        assert.include(plan, index, plan)
        assert.notMatch(plan, /Seq Scan on (job|outbox|credit_\w+)|Hash/, plan)
        if (name !== "orphans") assert.notMatch(plan, /Sort/, plan)
      })
    }
  })
})
