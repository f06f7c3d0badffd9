/** That taking entries into rollups walks indexes row by row, with the plan that is kept from when the tables were empty. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { describe, it } from "vitest"
import { PgClient } from "../../../src/layers/postgres/PgClient.ts"
import { ALONG_INDEXES, JOBS_PAGE, pageUntil } from "../../../src/layers/postgres/PgRollupBooking.ts"
import { clientOf, freshSchema, withPostgres } from "./PgSchema.ts"

const QUESTIONS = {
  "entries of all namespaces": { text: pageUntil("end"), types: "text, bigint", values: "'', 10" },
  "entries of some namespaces": { text: pageUntil("further"), types: "text, bigint, text", values: "'', 10, 'ns_b'" },
  "jobs that were settled": { text: JOBS_PAGE, types: "text, bigint", values: "'', 10" }
} as const

withPostgres("the plans of rollups on PostgreSQL", () => {
  const client = clientOf(freshSchema("rollup_plans"))

  describe("a page for rollups of PostgreSQL", () => {
    for (const [name, { text, types, values }] of Object.entries(QUESTIONS)) {
      it(`reads the ${name} along the ledger's index and no table as a whole`, async () => {
        const plan = await client.runPromise(
          Effect.gen(function* () {
            const { sql } = yield* PgClient
            return yield* sql.withTransaction(
              Effect.gen(function* () {
                yield* sql.unsafe(ALONG_INDEXES)
                yield* sql.unsafe("SET LOCAL plan_cache_mode = force_generic_plan")
                yield* sql.unsafe(`PREPARE page (${types}) AS ${text}`)
                const rows = yield* sql.unsafe<{ "QUERY PLAN": string }>(`EXPLAIN EXECUTE page (${values})`)
                yield* sql.unsafe("DEALLOCATE page")
                return rows.map((row) => row["QUERY PLAN"]).join("\n")
              })
            )
          })
        )
        assert.include(plan, "credit_entry_pkey", plan)
        assert.notMatch(plan, /Seq Scan|Hash|Merge|Materialize|Join Filter/, plan)
      })
    }
  })
})
