/** What the survey answers, and that it walks partial indexes of unfinished rows to do so. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { describe } from "vitest"
import { Daemons } from "../../../src/layers/Daemons.ts"
import { JobStore, JobSurvey } from "../../../src/layers/JobStore.ts"
import { Outbox } from "../../../src/layers/Outbox.ts"
import { SqliteClient } from "../../../src/layers/sqlite/SqliteClient.ts"
import { DUE, LANES, ORPHANS, WAITING } from "../../../src/layers/sqlite/SqliteJobSurvey.ts"
import { PENDING } from "../../../src/layers/sqlite/SqliteOutbox.ts"
import { DaemonId, EnvelopeId } from "../../../src/schemas/Ids.ts"
import { admissionOf, AT, claimOf, finishOf, freshStore, jobOf, settle } from "./StateSamples.ts"

const during = { of: "Test", method: "explain" }

describe("a survey of the embedded store", () => {
  it.effect("walks an index and never the table of jobs, whatever it asks", () =>
    Effect.gen(function* () {
      const { read } = yield* SqliteClient
      const plan = (query: string, ...parameters: ReadonlyArray<string | number>) =>
        read(during, (sql) =>
          sql(`EXPLAIN QUERY PLAN ${query}`)
            .all(...parameters)
            .map((row) => String(row["detail"]))
        )
      const plans = {
        due: yield* plan(DUE, AT, 10),
        waiting: yield* plan(WAITING, "", AT, 10),
        orphans: yield* plan(ORPHANS, 10),
        lanes: yield* plan(LANES),
        pending: yield* read(during, (sql) =>
          sql(`EXPLAIN QUERY PLAN ${PENDING}`)
            .all({ before: AT, limit: 10 })
            .map((row) => String(row["detail"]))
        )
      }
      const indexes = {
        due: "job_due",
        waiting: "job_waiting",
        orphans: "job_owned",
        lanes: "job_lane",
        pending: "outbox_due"
      }
      for (const [name, steps] of Object.entries(plans)) {
        const used = steps.flatMap(
          (step) => /^(?:SEARCH|SCAN) (?:job|outbox)\b(?: USING(?: COVERING)? INDEX (\w+))?/.exec(step)?.[1] ?? []
        )
        const shown = `${name}: ${steps.join("; ")}`
        assert.isFalse(
          steps.some((step) => /SCAN (job|outbox)|TEMP B-TREE/.test(step)),
          shown
        )
        assert.strictEqual(used[0], indexes[name as keyof typeof indexes], shown)
      }
    }).pipe(Effect.provide(freshStore))
  )

  it.effect("tells lanes, due, waiting and orphaned jobs apart, when there are some of each", () =>
    Effect.gen(function* () {
      yield* settle()
      const { admit, claim, finish } = yield* JobStore
      const survey = yield* JobSurvey
      const a = jobOf("a", { model: "one.5", deadlineAt: AT + 1_000 })
      const b = jobOf("b", { model: "one.5", acceptedAt: AT + 1, deadlineAt: AT + 999 })
      const c = jobOf("c", { model: "one.5", acceptedAt: AT + 2, deadlineAt: AT + 998 })
      const d = jobOf("d", { model: "two", acceptedAt: AT + 3 })
      for (const job of [a, b, c, d]) yield* admit(admissionOf(job))
      const lane = { environment: "testnet", subcloud: "global", priority: "normal" } as const
      assert.deepStrictEqual(yield* survey.lanes, [
        { lane: { ...lane, model: "one.5" }, waiting: 3, oldestAt: AT },
        { lane: { ...lane, model: "two" }, waiting: 1, oldestAt: AT + 3 }
      ])
      yield* claim(claimOf(a))
      yield* claim(claimOf(d))
      yield* finish(finishOf(d))
      const ids = (rows: ReadonlyArray<{ readonly job: { readonly id: string } }>) => rows.map((row) => row.job.id)
      assert.deepStrictEqual(yield* survey.lanes, [{ lane: { ...lane, model: "one.5" }, waiting: 2, oldestAt: AT + 1 }])
      assert.deepStrictEqual(ids(yield* survey.due(AT + 999, 10)), [c.id, b.id])
      assert.deepStrictEqual(ids(yield* survey.due(AT + 1_000, 1)), [c.id])
      assert.deepStrictEqual(ids(yield* survey.due(AT + 1_000, 10)), [c.id, b.id, a.id])
      assert.deepStrictEqual(yield* survey.waiting(AT + 50, null, 10), [])
      yield* (yield* Outbox).sent(["msg_queued-b", "msg_queued-c"].map((id) => EnvelopeId.make(id)))
      assert.deepStrictEqual(ids(yield* survey.waiting(AT + 50, null, 10)), [b.id, c.id])
      assert.deepStrictEqual(ids(yield* survey.waiting(AT + 2, b.id, 10)), [])
      assert.deepStrictEqual(ids(yield* survey.waiting(AT + 50, b.id, 10)), [c.id])
      assert.deepStrictEqual(yield* survey.orphans(10), [])
      yield* (yield* Daemons).join(DaemonId.make("daemon_two"), AT + 10)
      assert.deepStrictEqual(ids(yield* survey.orphans(10)), [a.id])
    }).pipe(Effect.provide(freshStore))
  )
})
