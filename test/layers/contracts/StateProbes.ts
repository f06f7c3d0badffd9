/**
 * What the suites of the deciding contracts ask a back end about its jobs and credits: never more than one namespace's share, so that other
 * tests in the same store do not matter. `assertSound` is the product's promises about credits and histories, checked from outside.
 */
import { assert } from "@effect/vitest"
import { Effect, References } from "effect"
import { CreditLedger } from "../../../src/layers/CreditLedger.ts"
import type { Daemons } from "../../../src/layers/Daemons.ts"
import { type Claimed, type Guarded, JobStore, JobSurvey } from "../../../src/layers/JobStore.ts"
import type { Namespaces } from "../../../src/layers/Namespaces.ts"
import { Outbox, type OutboxRow } from "../../../src/layers/Outbox.ts"
import type { DaemonId, JobId, NamespaceId } from "../../../src/schemas/Ids.ts"
import type { Job } from "../../../src/schemas/Job.ts"
import type { JobEvent } from "../../../src/schemas/JobEvent.ts"
import { isLegal, isTerminal, type JobRow } from "../../../src/schemas/JobState.ts"
import { aClaim, aJob, anAdmission, fundedNamespace } from "../../support/factories.ts"

export type JobServices = JobStore | JobSurvey | Outbox | CreditLedger | Namespaces | Daemons

export interface StateCapabilities {
  /** One daemon lives at a time: joining declares all others dead, so no test can have two. */
  readonly soleOwner?: boolean
}

/** Later than every instant of a test. */
export const THE_END = 8_640_000_000_000_000
export const MANY = 1_000_000

/** Lets fibers take turns every few steps (with one, none would get on), so that a back end which never waits shows too what it does not do in one. */
export const takingTurns = Effect.provideService(References.MaxOpsBeforeYield, 3)

/** All of them at the same time. */
export const atOnce = <A, E, R>(calls: ReadonlyArray<Effect.Effect<A, E, R>>): Effect.Effect<Array<A>, E, R> =>
  takingTurns(Effect.all(calls, { concurrency: calls.length }))

/** As many of these. */
export const timesAtOnce = <A, E, R>(times: number, call: (n: number) => Effect.Effect<A, E, R>) =>
  atOnce(Array.from({ length: times }, (_, n) => call(n)))

/** What is available, reserved and spent. */
export const purseOf = (namespaceId: NamespaceId) =>
  Effect.map(
    Effect.flatMap(CreditLedger, (ledger) => ledger.balance(namespaceId)),
    ({ available, reserved, spent }): readonly [bigint, bigint, bigint] => [available, reserved, spent]
  )

/** Admits a job with a namespace of its own, unless one is named. */
export const admitted = Effect.fnUntraced(function* (over: Partial<Job> = {}) {
  const namespaceId = over.namespaceId ?? (yield* fundedNamespace(1_000_000)).id
  const { row, created } = yield* (yield* JobStore).admit(anAdmission(aJob({ ...over, namespaceId })))
  assert.isTrue(created)
  return row
})

export const claimedOf = (claimed: Claimed): JobRow => {
  assert.strictEqual(claimed._tag, "Claimed", JSON.stringify("why" in claimed && claimed.why))
  return claimed.row!
}
export const doneOf = (guarded: Guarded): JobRow => {
  assert.strictEqual(guarded._tag, "Done")
  return guarded.row!
}

/** Claims the row for a new attempt. */
export const claimed = (row: JobRow, daemonId: DaemonId, over: Partial<ReturnType<typeof aClaim>> = {}) =>
  Effect.map(
    Effect.flatMap(JobStore, (store) => store.claim(aClaim(row, daemonId, over))),
    claimedOf
  )

/** Unsent messages about these jobs, also those that are not due yet. */
export const messagesOf = (...jobIds: ReadonlyArray<JobId>) =>
  Effect.map(
    Effect.flatMap(Outbox, (outbox) => outbox.pending(THE_END, MANY)),
    (rows) => rows.filter(({ envelope: { message } }) => "jobId" in message && jobIds.includes(message.jobId))
  )

export const tagsOf = (rows: ReadonlyArray<OutboxRow>) => rows.map(({ envelope }) => envelope.message._tag)

export const idsOf = (rows: ReadonlyArray<JobRow>) => rows.map(({ job }) => job.id)

/** The rows of this namespace only. */
export const ofNamespace = (rows: ReadonlyArray<JobRow>, namespaceId: NamespaceId) =>
  rows.filter(({ job }) => job.namespaceId === namespaceId)

/** Entries of one job: `reserve 100`, `settle 40`, `refund 60`; those of nothing are left out, since a back end may spare them. */
export const entriesOf = (job: Job) =>
  Effect.map(
    Effect.flatMap(CreditLedger, (ledger) => ledger.entries(job.namespaceId, 0, MANY)),
    (entries) =>
      entries.filter(({ jobId, amount }) => jobId === job.id && amount > 0n).map((e) => `${e.kind} ${e.amount}`)
  )

/** All that the store knows of a job and of who pays for it. */
export const everythingOf = Effect.fnUntraced(function* (jobId: JobId, namespaceId: NamespaceId) {
  const store = yield* JobStore
  const ledger = yield* CreditLedger
  return {
    row: yield* store.get(jobId),
    events: yield* store.events(jobId),
    balance: yield* ledger.balance(namespaceId),
    entries: yield* ledger.entries(namespaceId, 0, MANY),
    messages: yield* messagesOf(jobId),
    open: yield* (yield* JobSurvey).open(namespaceId)
  }
})

/** Runs `body` and holds that it left the job, its money and its messages as they were. */
export const changingNothing = <A, E, R>(
  jobId: JobId,
  namespaceId: NamespaceId,
  body: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R | JobStore | JobSurvey | Outbox | CreditLedger> =>
  Effect.gen(function* () {
    const before = yield* Effect.orDie(everythingOf(jobId, namespaceId))
    const answer = yield* body
    assert.deepStrictEqual(yield* Effect.orDie(everythingOf(jobId, namespaceId)), before)
    return answer
  })

/** The row that a history tells, as far as it tells it; fails at the first event that does not follow. */
const replay = (events: ReadonlyArray<JobEvent>) => {
  let [state, epoch, attempt] = [null as JobEvent["from"], 0, 0]
  for (const [index, event] of events.entries()) {
    const at = `event ${index + 1}: ${event.kind}`
    assert.strictEqual(event.seq, index + 1, at)
    assert.strictEqual(event.from, state, at)
    if (event.from !== null) assert.isTrue(isLegal(event.from, event.to), at)
    const claims = event.kind === "claimed" || event.kind === "adopted"
    assert.strictEqual(event.epoch, epoch + (claims ? 1 : 0), at)
    assert.strictEqual(event.attempt, attempt + (event.kind === "claimed" ? 1 : 0), at)
    ;[state, epoch, attempt] = [event.to, event.epoch, event.attempt]
  }
  return { state, epoch, attempt }
}

/** I1, I2, I3 and I7 for one namespace whose jobs are these and whose messages were not sent yet. */
export const assertSound = Effect.fnUntraced(function* (namespaceId: NamespaceId, jobIds: Iterable<JobId>) {
  const store = yield* JobStore
  const ledger = yield* CreditLedger
  const { granted, available, reserved, spent } = yield* ledger.balance(namespaceId)
  const entries = yield* ledger.entries(namespaceId, 0, MANY)
  const sum = (kind: string, jobId?: JobId) =>
    entries
      .filter((entry) => entry.kind === kind && (jobId === undefined || entry.jobId === jobId))
      .reduce((total, { amount }) => total + amount, 0n)
  const count = (kind: string, jobId: JobId) => entries.filter((e) => e.kind === kind && e.jobId === jobId).length

  assert.strictEqual(granted, available + reserved + spent, "granted = available + reserved + spent")
  assert.strictEqual(granted, sum("grant"))
  assert.strictEqual(spent, sum("settle"))
  assert.strictEqual(reserved, sum("reserve") - sum("settle") - sum("refund"))

  let [promised, open] = [0n, 0]
  for (const jobId of jobIds) {
    const row = yield* store.get(jobId)
    const events = yield* store.events(jobId)
    const messages = yield* messagesOf(jobId)
    if (row === null) {
      assert.deepStrictEqual([events.length, messages.length, count("reserve", jobId)], [0, 0, 0])
      continue
    }
    const { state, job, epoch, attempt, charged, owner } = row
    assert.deepStrictEqual(replay(events), { state, epoch, attempt })
    const ends = events.filter(({ kind }) => kind === "finished").length
    assert.strictEqual(ends, isTerminal(state) ? 1 : 0, "one terminal state")
    assert.strictEqual(owner !== null, state === "active")
    assert.deepStrictEqual(
      [count("reserve", jobId), sum("reserve", jobId), count("settle", jobId), count("refund", jobId) <= ends],
      [1, job.reserved, ends, true],
      "reserved once and closed once"
    )
    assert.strictEqual(sum("settle", jobId), charged)
    if (isTerminal(state)) assert.strictEqual(sum("refund", jobId), job.reserved - charged)
    const queued = events.filter(({ to }) => to === "queued").map(() => "JobQueued")
    assert.deepStrictEqual(tagsOf(messages).toSorted(), [...Array<string>(ends).fill("JobFinished"), ...queued])
    if (!isTerminal(state)) [promised, open] = [promised + job.reserved, open + 1]
  }
  assert.strictEqual(reserved, promised, "reserved is what the open jobs reserve")
  assert.strictEqual(yield* (yield* JobSurvey).open(namespaceId), open)
  assert.deepStrictEqual(
    (yield* ledger.audit).filter((finding) => finding.namespaceId === namespaceId),
    []
  )
})
