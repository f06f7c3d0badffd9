/** Every statement of the sampler against a store that breaks its promise, in SQLite with all guards taken off. */
import { assert, describe, it } from "@effect/vitest"
import { DatabaseSync } from "node:sqlite"
import { APPEND_ONLY, stateSchema } from "../../src/layers/sqlite/StateSchema.ts"
import { broken, RULES } from "./Rules.ts"
import { makeMemory, sample } from "./Sampler.ts"
import { type Query, rowsOf } from "./StateDb.ts"

/** A store with one completed job and one that waits, and nothing in it that keeps a bad row out. */
const store = (): DatabaseSync => {
  const db = new DatabaseSync(":memory:", { enableForeignKeyConstraints: false })
  db.exec(stateSchema)
  db.exec("PRAGMA ignore_check_constraints = ON")
  for (const table of APPEND_ONLY) db.exec(`DROP TRIGGER ${table}_keeps; DROP TRIGGER ${table}_stays`)
  db.exec("DROP INDEX credit_entry_once")
  db.exec(`
    INSERT INTO namespace VALUES ('ns_a', 'a', 'testnet', '{}', 0);
    INSERT INTO credit_balance VALUES ('ns_a', 1000, 830, 100, 70, 1);
    INSERT INTO daemon VALUES ('daemon_1', 0, 0, 'live');
    INSERT INTO job (id, namespace_id, facts, lane, reserved, accepted_at, deadline_at, state, owner, epoch, attempt, failures, crashes,
      run_at, prompt_tokens, output_tokens, charged, finished_at, events) VALUES
      ('job_1', 'ns_a', '{}', 'l', 100, 0, 9, 'completed', NULL, 1, 1, 0, 0, 0, 10, 20, 70, 5, 3),
      ('job_2', 'ns_a', '{}', 'l', 100, 0, 9, 'active', 'daemon_1', 1, 1, 0, 0, 0, 0, 0, 0, NULL, 2);
    INSERT INTO job_event VALUES
      ('job_1', 1, 'admitted', NULL, 'queued', 0, 0, NULL, NULL, NULL, 0),
      ('job_1', 2, 'claimed', 'queued', 'active', 1, 1, 'daemon_1', NULL, NULL, 0),
      ('job_1', 3, 'finished', 'active', 'completed', 1, 1, 'daemon_1', NULL, NULL, 0),
      ('job_2', 1, 'admitted', NULL, 'queued', 0, 0, NULL, NULL, NULL, 0),
      ('job_2', 2, 'claimed', 'queued', 'active', 1, 1, 'daemon_1', NULL, NULL, 0);
    INSERT INTO credit_entry (namespace_id, kind, amount, job_id, reference, at) VALUES
      ('ns_a', 'grant', 1000, NULL, 'first', 0), ('ns_a', 'reserve', 100, 'job_1', NULL, 0), ('ns_a', 'settle', 70, 'job_1', NULL, 0),
      ('ns_a', 'refund', 30, 'job_1', NULL, 0), ('ns_a', 'reserve', 100, 'job_2', NULL, 0);
  `)
  return db
}

const queryOf =
  (db: DatabaseSync): Query =>
  (text, about = []) =>
    Promise.resolve(rowsOf(db, text, about))

/** What is put wrong, with every rule that has to see it: some harms break two promises at once. */
const BAD: ReadonlyArray<readonly [rules: ReadonlyArray<string>, sql: string]> = [
  [["credits conserved"], "UPDATE credit_balance SET available = available + 1"],
  [["entries sum", "balances are the ledger"], "UPDATE credit_entry SET amount = 31 WHERE kind = 'refund'"],
  [
    ["entries sum", "at most one settlement"],
    "INSERT INTO credit_entry (namespace_id, kind, amount, job_id, at) VALUES ('ns_a', 'settle', 0, 'job_1', 0); UPDATE job SET charged = 69 WHERE id = 'job_1'"
  ],
  [
    ["terminal and settled are one", "row is its history", "reserved explained", "owner lives"],
    "UPDATE job SET state = 'failed', finished_at = 5, events = 2 WHERE id = 'job_2'"
  ],
  [["history gap-free"], "DELETE FROM job_event WHERE job_id = 'job_1' AND seq = 2"],
  [["history legal"], "UPDATE job_event SET from_state = 'queued' WHERE job_id = 'job_1' AND seq = 3"],
  [["row is its history"], "UPDATE job SET attempt = 2 WHERE id = 'job_2'"],
  [
    ["epochs grow"],
    "UPDATE job_event SET epoch = 2 WHERE job_id = 'job_2'; UPDATE job SET epoch = 2 WHERE id = 'job_2'"
  ],
  [["reserved explained"], "UPDATE credit_balance SET open_jobs = 2"],
  [["owner lives"], "UPDATE job SET owner = 'daemon_gone' WHERE id = 'job_2'"],
  [["charge bounded", "entries sum"], "UPDATE job SET charged = 101 WHERE id = 'job_1'"],
  [["balances are the ledger"], "UPDATE credit_balance SET spent = spent + 1, available = available - 1"]
]

describe("the sampler", () => {
  it("finds nothing in a store that is right", async () => {
    const { findings, jobs } = await sample(queryOf(store()), makeMemory())
    assert.deepStrictEqual(findings, [])
    assert.strictEqual(jobs, 2)
  })

  for (const [rules, sql] of BAD) {
    it(`says ${rules.join(" and ")}, and nothing else, after ${sql.slice(0, 70)}`, async () => {
      const db = store()
      db.exec(sql)
      const { findings } = await sample(queryOf(db), makeMemory())
      assert.deepStrictEqual(new Set(findings.map(({ rule }) => rule)), new Set(rules))
    })
  }

  it("has a bad store for each of its statements", () => {
    const proved = new Set(BAD.flatMap(([rules]) => rules))
    assert.deepStrictEqual(
      RULES.map(({ name }) => name).filter((name) => !proved.has(name)),
      []
    )
  })

  it("says so, when an epoch or a history falls from one look to the next", async () => {
    const db = store()
    const memory = makeMemory()
    await sample(queryOf(db), memory)
    db.exec(
      "UPDATE job SET epoch = 0, state = 'queued', owner = NULL, events = 1, attempt = 0 WHERE id = 'job_2'; DELETE FROM job_event WHERE job_id = 'job_2' AND seq = 2"
    )
    const { findings } = await sample(queryOf(db), memory)
    assert.deepStrictEqual(
      findings.map(({ rule }) => rule),
      ["nothing is taken back"]
    )
  })

  it("says so, when a sweeper's epoch falls or a dead daemon lives again", async () => {
    const db = store()
    const memory = makeMemory()
    db.exec(
      "INSERT INTO sweeper_state VALUES ('relay', 'daemon_1', 4, '{}', NULL, 0, NULL); INSERT INTO daemon VALUES ('daemon_2', 0, 0, 'dead')"
    )
    await sample(queryOf(db), memory)
    db.exec("UPDATE sweeper_state SET epoch = 3; UPDATE daemon SET state = 'live' WHERE id = 'daemon_2'")
    const { findings } = await sample(queryOf(db), memory)
    assert.deepStrictEqual(
      findings.map(({ rule }) => rule),
      ["epochs grow", "the dead stay dead"]
    )
  })

  it("looks only at what is open or new, and at everything when it is asked to", async () => {
    const db = store()
    const memory = makeMemory()
    await sample(queryOf(db), memory)
    db.exec(
      `INSERT INTO credit_entry (seq, namespace_id, kind, amount, reference, at) VALUES (100000, 'ns_a', 'grant', 0, 'later', 0)`
    )
    await sample(queryOf(db), memory)
    db.exec("UPDATE job SET attempt = 2 WHERE id = 'job_1'")
    const { findings, jobs } = await sample(queryOf(db), memory)
    assert.deepStrictEqual([findings, jobs], [[], 1])
    const all = await broken(queryOf(db), "all")
    assert.deepStrictEqual(
      all.map(({ rule }) => rule),
      ["row is its history"]
    )
  })
})
