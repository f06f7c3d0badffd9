/** What the database refuses by itself, whoever asks: a shell with every right to the tables gets no further than our own program would. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { beforeAll, describe, it } from "vitest"
import { CreditLedger } from "../../../src/layers/CreditLedger.ts"
import { JobStore } from "../../../src/layers/JobStore.ts"
import { aClaim, aFinish, aJob, anAdmission, credits, fundedNamespace, livingDaemon } from "../../support/factories.ts"
import { everythingOf } from "../contracts/StateProbes.ts"
import { clientOf, freshSchema, objectionTo, shell, withPostgres } from "./PgSchema.ts"

withPostgres("the guards of PostgreSQL", () => {
  const options = freshSchema("guards")
  const { schema } = options
  const client = clientOf(options)
  let [waiting, active, ended, payer] = ["", "", "", ""]

  beforeAll(async () => {
    await client.runPromise(
      Effect.gen(function* () {
        const store = yield* JobStore
        const { id: namespaceId } = yield* fundedNamespace(10_000)
        const daemonId = yield* livingDaemon(0)
        const idempotency = { key: "key", bodyHash: "body", expiresAt: 8_640_000_000_000_000 }
        const rows = yield* Effect.forEach([idempotency, null, null], (idempotency) =>
          Effect.map(store.admit(anAdmission(aJob({ namespaceId }), { idempotency })), ({ row }) => row)
        )
        for (const row of rows.slice(1)) yield* store.claim(aClaim(row, daemonId))
        const last = (yield* store.get(rows[2]!.job.id))!
        yield* store.finish(aFinish(last, { charge: credits(400) }))
        payer = namespaceId
        ;[waiting, active, ended] = [rows[0]!.job.id, rows[1]!.job.id, rows[2]!.job.id]
      })
    )
  })

  const refuses = (statement: () => string, objection: RegExp) => async () =>
    assert.match(await objectionTo(schema, statement()), objection)

  describe("history in PostgreSQL", () => {
    for (const table of ["job_event", "credit_entry"]) {
      for (const change of [`UPDATE ${table} SET at = 0`, `DELETE FROM ${table}`, `TRUNCATE ${table} CASCADE`]) {
        it(
          `is not taken back by ${change}`,
          refuses(() => change, /append-only/)
        )
      }
    }
  })

  describe("a row that leaves PostgreSQL", () => {
    it("has ended and was counted, whatever is marked: otherwise it stays with its history", async () => {
      const count = `SELECT (SELECT count(*) FROM job)::int AS jobs, (SELECT count(*) FROM job_event)::int AS events`
      const before = await shell(schema, count)
      await shell(schema, `INSERT INTO job_leaving SELECT id, 'seg_x' FROM job`)
      assert.deepStrictEqual([...(await shell(schema, `SELECT prune_jobs('seg_x') AS pruned`))], [{ pruned: 0 }])
      await shell(schema, `DELETE FROM job_leaving`)
      assert.deepStrictEqual(await shell(schema, count), before)
    })
    it("is what stands in the tables, and not what its caller has under their names", async () => {
      const [counted] = await shell<{ pruned: number }>(
        schema,
        `CREATE TEMP TABLE job_leaving AS SELECT id AS job_id, 'seg_y' AS segment_id FROM job WHERE finished_at IS NOT NULL`,
        `CREATE TEMP TABLE rollup_place AS SELECT id AS namespace_id, 999999999::bigint AS jobs_seq FROM namespace`,
        `SELECT prune_jobs('seg_y') AS pruned`
      )
      assert.strictEqual(counted?.pruned, 0)
    })
    it(
      "takes no entry of the ledger along",
      refuses(() => `DELETE FROM credit_entry WHERE job_id = '${ended}'`, /append-only/)
    )
  })

  describe("a balance in PostgreSQL", () => {
    const update = (set: string) => `UPDATE credit_balance SET ${set} WHERE namespace_id = '${payer}'`
    it(
      "does not move without an entry",
      refuses(() => update("granted = granted + 1, available = available + 1"), /by its entries only/)
    )
    it(
      "does not go",
      refuses(() => `DELETE FROM credit_balance`, /by its entries only/)
    )

    /** With every trigger out of the way, as only the owner of the server can have it. */
    const unguarded = (set: string) => `SET session_replication_role = replica; ${update(set)}`
    it("is what was granted, available, reserved and spent, and never less than nothing, when its triggers are off", async () => {
      for (const set of ["available = available + 1", "available = -1, granted = granted - available - 1"]) {
        assert.match(await objectionTo(schema, `DO $$ BEGIN ${unguarded(set)}; END $$`), /check/)
      }
    })

    it("is found by the audit, when its triggers were off and it is not the sum of its entries any more", async () => {
      const change = (by: string) =>
        shell(schema, `DO $$ BEGIN ${unguarded(`granted = granted ${by}, available = available ${by}`)}; END $$`)
      const audit = () => client.runPromise(Effect.flatMap(CreditLedger, (ledger) => ledger.audit))
      assert.deepStrictEqual([...(await audit())], [])
      await change("+ 5")
      const [finding, ...more] = await audit()
      await change("- 5")
      assert.deepStrictEqual([finding?.namespaceId as string, more.length], [payer, 0])
      assert.strictEqual(finding!.stored.available, finding!.summed.available + 5n)
      assert.deepStrictEqual([...(await audit())], [])
    })

    it("moves with its entries, also when a shell writes them", async () => {
      const [before] = await shell<{ granted: bigint }>(schema, `SELECT granted FROM credit_balance`)
      const [after] = await shell<{ granted: bigint; available: bigint }>(
        schema,
        `INSERT INTO credit_entry (namespace_id, kind, amount, reference, at) VALUES ('${payer}', 'grant', 7, 'shell', 1)`,
        `SELECT granted FROM credit_balance`
      )
      assert.strictEqual(after!.granted, before!.granted + 7n)
    })

    const entry = (kind: string, amount: number, jobId: () => string) => () =>
      `INSERT INTO credit_entry (namespace_id, kind, amount, job_id, at) VALUES ('${payer}', '${kind}', ${amount}, '${jobId()}', 1)`
    it(
      "does not pay for a job twice",
      refuses(
        entry("settle", 400, () => ended),
        /duplicate|sum to zero/
      )
    )
    it(
      "does not reserve for a job twice",
      refuses(
        entry("reserve", 1, () => waiting),
        /duplicate/
      )
    )
    it(
      "does not settle a job that goes on",
      refuses(
        entry("settle", 1_000, () => active),
        /sum to zero/
      )
    )
    it(
      "does not return what was not reserved",
      refuses(
        entry("refund", 1, () => active),
        /sum to zero/
      )
    )
    it(
      "does not pay for the job of another",
      refuses(() => entry("settle", 1, () => active)().replace(payer, "ns_another"), /sum to zero/)
    )
    it(
      "is there for every entry",
      refuses(
        () =>
          `INSERT INTO credit_entry (namespace_id, kind, amount, reference, at) VALUES ('ns_x', 'grant', 1, 'x', 1)`,
        /without a balance/
      )
    )
    it("does not reserve what is not there", async () => {
      // The job's row without its entry, as a careless hand would make it; both are taken back together.
      const objection = await objectionTo(
        schema,
        `WITH made AS (INSERT INTO job (id, namespace_id, facts, lane, reserved, accepted_at, deadline_at, state, run_at)
            SELECT 'job_shell', namespace_id, facts, lane, 99999999, 1, 1, 'queued', 1 FROM job WHERE id = '${waiting}' RETURNING id)
          INSERT INTO credit_entry (namespace_id, kind, amount, job_id, at) SELECT '${payer}', 'reserve', 99999999, id, 1 FROM made`
      )
      assert.match(objection, /check/)
      assert.deepStrictEqual(await shell(schema, `SELECT 1 FROM job WHERE id = 'job_shell'`), [])
    })
  })

  describe("a job in PostgreSQL", () => {
    const move = (id: () => string, set: string) => () =>
      `UPDATE job SET events = events + 1, ${set} WHERE id = '${id()}'`
    it(
      "does not come back from its end",
      refuses(
        move(() => ended, "state = 'queued', finished_at = NULL"),
        /cannot go/
      )
    )
    it(
      "does not complete where it waits",
      refuses(
        move(() => waiting, "state = 'completed', finished_at = 1"),
        /cannot go/
      )
    )
    it(
      "does not go back to an epoch before",
      refuses(
        move(() => active, "epoch = epoch - 1, attempt = 0"),
        /cannot go/
      )
    )
    it(
      "does not change without an event",
      refuses(() => `UPDATE job SET run_at = 1 WHERE id = '${active}'`, /cannot go/)
    )
    it(
      "does not change what it was admitted with",
      refuses(
        move(() => waiting, "reserved = reserved + 1"),
        /cannot go/
      )
    )
    const withTag = (tag: string) => `facts = regexp_replace(facts, '"clientTag":[^,]*', '"clientTag":${tag}')`
    it(
      "does not get another end user's tag while it runs",
      refuses(() => `UPDATE job SET ${withTag('"other"')} WHERE id = '${active}'`, /cannot go/)
    )
    it(
      "does not get another tag after its end",
      refuses(() => `UPDATE job SET ${withTag('"other"')} WHERE id = '${ended}'`, /cannot go/)
    )
    it(
      "does not change with the tag that goes",
      refuses(() => `UPDATE job SET ${withTag("null")}, node_id = 'x' WHERE id = '${ended}'`, /cannot go/)
    )
    it(
      "is not charged more than it reserved",
      refuses(
        move(() => active, "charged = reserved + 1"),
        /cannot go|check/
      )
    )
    it(
      "is not charged more than it reserved at its end",
      refuses(
        move(() => active, "state = 'failed', owner = NULL, finished_at = 1, charged = reserved + 1"),
        /check/
      )
    )
    it(
      "is not active without an owner",
      refuses(
        move(() => active, "epoch = epoch + 1, owner = NULL"),
        /check/
      )
    )
    it(
      "has no owner that never lived",
      refuses(
        move(() => active, "epoch = epoch + 1, owner = 'daemon_x'"),
        /foreign key/
      )
    )
  })

  it("a key in PostgreSQL names one job of its namespace", async () => {
    const again = `INSERT INTO idempotency_key SELECT namespace_id, key, 'other', '${active}', 1 FROM idempotency_key`
    assert.match(await objectionTo(schema, again), /duplicate/)
  })

  it("nothing of what was refused has left a trace", async () => {
    const { row, events, open } = await client.runPromise(everythingOf(active as never, payer as never))
    assert.deepStrictEqual([row?.state, events.length, open], ["active", 2, 2])
  })
})
