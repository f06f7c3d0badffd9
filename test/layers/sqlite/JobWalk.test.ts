/**
 * Any sequence of calls, sensible or not, from two daemons on three jobs: after each round the ledger adds up, histories are gap-free and legal,
 * an epoch never falls, and what ended stays as it ended. Calls of one round arrive together and so share a group commit.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { afterAll, describe } from "vitest"
import { CreditLedger } from "../../../src/layers/CreditLedger.ts"
import { Daemons } from "../../../src/layers/Daemons.ts"
import { JobStore, JobSurvey } from "../../../src/layers/JobStore.ts"
import { Credits } from "../../../src/schemas/Credits.ts"
import { DaemonId, type JobId } from "../../../src/schemas/Ids.ts"
import { isTerminal, type JobRow } from "../../../src/schemas/JobState.ts"
import {
  admissionOf,
  AT,
  claimOf,
  DAEMON,
  envelopeOf,
  finishOf,
  jobOf,
  NAMESPACE,
  releaseOf,
  settle,
  store
} from "./StateSamples.ts"

const jobs = ["a", "b", "c"].map((name) => jobOf(name))
const OTHER = DaemonId.make("daemon_two")

const Step = Schema.Struct({
  what: Schema.Literals(["claim", "adopt", "release", "complete", "fail", "cancel", "admit", "join"]),
  job: Schema.Literals([0, 1, 2]),
  /** Who calls, which is mostly the one daemon that lives. */
  other: Schema.Literals(["no", "also no", "yes"]),
  /** How far the epoch in the call is from the row's. */
  drift: Schema.Literals([0, "none", "nothing", 1, -1]),
  charge: Schema.Literals([0, 1, 999, 1_000])
})
type Step = typeof Step.Type

const Round = Schema.Array(Step).check(Schema.isMinLength(1), Schema.isMaxLength(3))
const Walk = Schema.Array(Round).check(Schema.isMinLength(8), Schema.isMaxLength(20))

let messages = 0
const envelope = (jobId: JobId) => envelopeOf(`walk-${++messages}`, { _tag: "JobFinished", jobId, state: "x" })

const take = (step: Step) =>
  Effect.gen(function* () {
    const { admit, claim, release, finish, get } = yield* JobStore
    const job = jobs[step.job]!
    const daemonId = step.other === "yes" ? OTHER : DAEMON
    const epoch = ((yield* get(job.id))?.epoch ?? 0) + (typeof step.drift === "number" ? step.drift : 0)
    const ending = { daemonId, epoch, charge: Credits.make(BigInt(step.charge)), envelope: envelope(job.id) }
    switch (step.what) {
      case "admit":
        return yield* admit(admissionOf(job))
      case "claim":
        return yield* claim(claimOf(job, { daemonId, epochSeen: epoch }))
      case "adopt":
        return yield* claim(claimOf(job, { daemonId, nodeId: null, epochSeen: epoch, crashed: true }))
      case "release":
        return yield* release(releaseOf(job, { daemonId, epoch, envelope: ending.envelope }))
      case "complete":
        return yield* finish(finishOf(job, ending))
      case "fail":
        return yield* finish(finishOf(job, { ...ending, state: "failed" }))
      case "cancel":
        return yield* finish(finishOf(job, { ...ending, daemonId: null, state: "cancelled", nodeId: null }))
      case "join":
        return yield* (yield* Daemons).join(daemonId, AT)
    }
  })

/** How often each move was really made: a walk that is always refused would prove nothing. */
const made: Record<string, number> = {}

const check = (before: ReadonlyArray<JobRow | null>) =>
  Effect.gen(function* () {
    const { get, events } = yield* JobStore
    const ledger = yield* CreditLedger
    assert.deepStrictEqual(yield* ledger.audit, [])
    const rows = yield* Effect.forEach(jobs, (job) => get(job.id))
    const open = rows.filter((row) => row !== null && !isTerminal(row.state)).length
    assert.strictEqual(yield* (yield* JobSurvey).open(NAMESPACE), open)
    const balance = yield* ledger.balance(NAMESPACE)
    assert.strictEqual(balance.reserved, BigInt(open) * 1_000n)
    assert.strictEqual(
      balance.spent,
      rows.reduce((sum, row) => sum + (row?.charged ?? 0n), 0n)
    )
    for (const [index, row] of rows.entries()) {
      const earlier = before[index] ?? null
      if (earlier !== null && isTerminal(earlier.state)) assert.deepStrictEqual(row, earlier)
      if (row === null) continue
      assert.isAtLeast(row.epoch, earlier?.epoch ?? 0)
      const history = yield* events(row.job.id)
      assert.deepInclude(history.at(-1), { to: row.state, epoch: row.epoch, attempt: row.attempt })
      assert.strictEqual(history.filter(({ kind }) => kind === "finished").length, isTerminal(row.state) ? 1 : 0)
    }
    return rows
  })

describe("the job store", () => {
  it.effect.prop(
    "stays true to its invariants, whatever is asked of it in whatever order",
    { walk: Walk },
    ({ walk }) =>
      Effect.gen(function* () {
        yield* settle()
        const { admit, events } = yield* JobStore
        for (const job of jobs.slice(1)) yield* admit(admissionOf(job))
        let rows: ReadonlyArray<JobRow | null> = []
        for (const round of walk) {
          // A defect is the right answer to an illegal move; what matters is what it left behind.
          yield* Effect.forEach(round, (step) => Effect.exit(take(step)), { concurrency: 3, discard: true })
          rows = yield* check(rows)
        }
        for (const job of jobs) for (const { kind } of yield* events(job.id)) made[kind] = (made[kind] ?? 0) + 1
      }).pipe(Effect.provide(Layer.fresh(store(":memory:")))),
    { arbitrary: { runs: 200 } }
  )

  afterAll(() => {
    for (const kind of ["admitted", "claimed", "adopted", "released", "finished"]) {
      assert.isAtLeast(made[kind] ?? 0, 1, `moves of kind ${kind}`)
    }
  })
})
