/**
 * Random lives of a few namespaces: grants, jobs that are admitted and end, time that goes by, and bookings and closings in between. `assertFolded` holds what
 * came of it against the detail, entry by entry and job by job.
 */
import { assert } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { CreditLedger } from "../../../src/layers/CreditLedger.ts"
import { JobStore } from "../../../src/layers/JobStore.ts"
import { isReconciled } from "../../../src/layers/Invoice.ts"
import { type Booking, Rollups } from "../../../src/layers/Rollups.ts"
import type { DaemonId, JobId, NamespaceId } from "../../../src/schemas/Ids.ts"
import type { TerminalState } from "../../../src/schemas/JobState.ts"
import {
  type CreditRollup,
  DAY_MS,
  HOUR_MS,
  hourOf,
  type JobRollup,
  type RollupRow
} from "../../../src/schemas/Rollup.ts"
import {
  aClaim,
  aFinish,
  aJob,
  anAdmission,
  credits,
  fundedNamespace,
  livingDaemon,
  unique
} from "../../support/factories.ts"
import { MANY } from "./StateProbes.ts"

const Small = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000 }))
const Which = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5 }))

const Admit = Schema.TaggedStruct("Admit", { who: Which, reserved: Small, model: Which, polls: Schema.Boolean })
const End = Schema.TaggedStruct("End", { which: Which, charge: Small, how: Which })
const Later = Schema.TaggedStruct("Later", { minutes: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 90 })) })

/** Jobs twice, because most that is drawn should be jobs. */
export const Step = Schema.Union([
  Admit,
  Admit.annotate({ title: "again" }),
  End,
  End.annotate({ title: "again" }),
  Later,
  Schema.TaggedStruct("Grant", { who: Which, amount: Small }),
  Schema.TaggedStruct("Book", {
    jobs: Schema.Boolean,
    max: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 4 }))
  }),
  Schema.TaggedStruct("Close", {})
])
export type Step = typeof Step.Type

export const FIRST_DAY = Date.UTC(2026, 0, 5)

/** Days for each test of a suite two weeks after those of the last, because what is closed stays closed; and one daemon for all of them. */
export const makeDays = () => {
  let fortnights = 0
  let living: DaemonId | null = null
  return {
    freshStart: () => FIRST_DAY + ++fortnights * 14 * DAY_MS,
    daemon: Effect.suspend(() =>
      living === null
        ? Effect.tap(livingDaemon(FIRST_DAY), (id) => Effect.sync(() => (living = id)))
        : Effect.succeed(living)
    )
  }
}

/** Takes everything there is, in pages of this size. */
export const bookAll = Effect.fnUntraced(function* (definition: Booking, max: number, now: number) {
  const rollups = yield* Rollups
  let [taken, from] = [0, null as NamespaceId | null]
  do {
    const booked = yield* rollups.book(definition, from, max, now)
    taken += booked.taken
    from = booked.next
  } while (from !== null)
  return taken
})

/** Everything until this hour, as the sweeper would. */
export const rollUp = Effect.fnUntraced(function* (now: number, max = 7) {
  const rollups = yield* Rollups
  yield* bookAll("credits", max, now)
  yield* rollups.close("credits", now, 1)
  yield* bookAll("jobs", max, now)
  yield* rollups.close("jobs", now, 1)
})

export const rowsOf = <A extends RollupRow>(definition: A["definition"], namespaceId: NamespaceId | null) =>
  Effect.gen(function* () {
    const rollups = yield* Rollups
    return (yield* rollups.page({
      definition,
      namespaceId,
      from: 0,
      to: 8e15,
      after: null,
      limit: MANY
    })) as ReadonlyArray<A>
  })

const ENDS: ReadonlyArray<TerminalState> = ["completed", "completed", "completed", "failed", "timed_out", "cancelled"]

interface History {
  readonly namespaces: ReadonlyArray<NamespaceId>
  readonly open: Array<JobId>
  readonly jobs: Array<JobId>
  readonly daemonId: DaemonId
  now: number
}

/** Does one step; those that cannot be done now do nothing. */
const perform = Effect.fnUntraced(function* (history: History, step: Step) {
  const store = yield* JobStore
  const { namespaces, open, now } = history
  switch (step._tag) {
    case "Grant": {
      const namespaceId = namespaces[step.who % namespaces.length]!
      const grant = { namespaceId, amount: credits(step.amount), reference: unique(), at: now }
      return void (yield* (yield* CreditLedger).grant(grant))
    }
    case "Admit": {
      const job = aJob({
        namespaceId: namespaces[step.who % namespaces.length]!,
        reserved: credits(step.reserved),
        model: `model-${step.model % 2}`,
        mode: step.polls ? "polling" : "stream",
        acceptedAt: now
      })
      const admitted = yield* Effect.result(store.admit(anAdmission(job)))
      if (admitted._tag === "Failure") return
      history.jobs.push(job.id)
      open.push(job.id)
      return
    }
    case "End":
      return yield* end(history, step)
    case "Later":
      history.now += step.minutes * 60_000
      return
    case "Book":
      return void (yield* (yield* Rollups).book(step.jobs ? "jobs" : "credits", null, step.max, now))
    case "Close":
      return yield* rollUp(now, 3)
  }
})

const end = Effect.fnUntraced(function* ({ open, daemonId, now }: History, step: Extract<Step, { _tag: "End" }>) {
  if (open.length === 0) return
  const store = yield* JobStore
  const [jobId] = open.splice(step.which % open.length, 1)
  const waiting = (yield* store.get(jobId!))!
  const state = ENDS[step.how]!
  const usage = { promptTokens: step.charge, outputTokens: 2 * step.charge }
  const charge = credits(Math.min(step.charge, Number(waiting.job.reserved)))
  if (state === "cancelled") return void (yield* store.finish(aFinish(waiting, { state, charge, usage, at: now })))
  yield* store.claim(aClaim(waiting, daemonId, { at: now }))
  const active = (yield* store.get(jobId!))!
  yield* store.finish(aFinish(active, { state, charge, usage, at: now }))
})

/** Lives these steps from `start` on, and ends with everything booked and closed; answers what there was. */
export const live = Effect.fnUntraced(function* (start: number, daemonId: DaemonId, steps: ReadonlyArray<Step>) {
  const namespaces = [(yield* fundedNamespace(0)).id, (yield* fundedNamespace(0)).id]
  const history: History = { namespaces, open: [], jobs: [], daemonId, now: start }
  const closed = new Map<string, RollupRow>()
  for (const who of [0, 1]) yield* perform(history, { _tag: "Grant", who, amount: 20_000 })
  for (const step of steps) {
    yield* perform(history, step)
    if (step._tag !== "Close") continue
    for (const row of yield* allOf(namespaces)) if (row.period < hourOf(history.now)) closed.set(nameOf(row), row)
  }
  const endsAt = hourOf(history.now) + 2 * HOUR_MS
  yield* rollUp(endsAt)
  const after = new Map((yield* allOf(namespaces)).map((row) => [nameOf(row), row] as const))
  for (const [name, row] of closed) assert.deepStrictEqual(after.get(name), row, "what was closed did not change")
  return { ...history, start, end: endsAt }
})

const nameOf = (row: RollupRow): string =>
  JSON.stringify(
    row.definition === "jobs"
      ? [row.period, row.namespaceId, row.model, row.mode, row.state]
      : [row.period, "namespaceId" in row && row.namespaceId]
  )

const allOf = (namespaces: ReadonlyArray<NamespaceId>) =>
  Effect.map(
    Effect.forEach(namespaces, (id) =>
      Effect.all([rowsOf<CreditRollup>("credits", id), rowsOf<JobRollup>("jobs", id)])
    ),
    (all): ReadonlyArray<RollupRow> => all.flat(2)
  )

export const sum = (amounts: ReadonlyArray<bigint>): bigint => amounts.reduce((total, amount) => total + amount, 0n)

/** Every row is the sum of the entries that it names, every entry is in one row, in its own hour, and the last row ends with the balance. */
export const assertFolded = Effect.fnUntraced(function* (namespaceId: NamespaceId) {
  const ledger = yield* CreditLedger
  const rows = yield* rowsOf<CreditRollup>("credits", namespaceId)
  const entries = yield* ledger.entries(namespaceId, 0, MANY)
  const amountOf = (own: typeof entries, kind: string) => sum(own.filter((e) => e.kind === kind).map((e) => e.amount))
  let left = entries
  for (const row of rows) {
    const own = left.filter(({ seq }) => seq <= row.lastSeq)
    left = left.filter(({ seq }) => seq > row.lastSeq)
    assert.deepStrictEqual([own[0]?.seq, own.at(-1)?.seq], [row.firstSeq, row.lastSeq])
    assert.isTrue(
      own.every(({ at }) => hourOf(at) === row.period),
      "in the hour in which it was written"
    )
    assert.deepStrictEqual(
      [row.granted, row.reserved, row.settled, row.refunded],
      ["grant", "reserve", "settle", "refund"].map((kind) => amountOf(own, kind))
    )
    const before = entries.filter(({ seq }) => seq <= row.lastSeq)
    assert.strictEqual(row.spentAtEnd, amountOf(before, "settle"))
    assert.strictEqual(row.availableAtEnd + row.reservedAtEnd + row.spentAtEnd, row.grantedAtEnd)
  }
  assert.deepStrictEqual(left, [], "no entry is left out")
  const balance = yield* ledger.balance(namespaceId)
  const last = rows.at(-1)
  if (last !== undefined) {
    assert.deepStrictEqual(
      [last.grantedAtEnd, last.availableAtEnd, last.reservedAtEnd, last.spentAtEnd],
      [balance.granted, balance.available, balance.reserved, balance.spent]
    )
  }
})

/** Jobs by slot, from their rows in the deciding store alone. */
export const assertJobsFolded = Effect.fnUntraced(function* (namespaceId: NamespaceId, jobIds: ReadonlyArray<JobId>) {
  const store = yield* JobStore
  const slots = new Map<string, Array<number | bigint>>()
  for (const jobId of jobIds) {
    const { job, state, finishedAt, usage, charged } = (yield* store.get(jobId))!
    if (job.namespaceId !== namespaceId || finishedAt === null) continue
    const start = (yield* store.events(jobId)).find(({ kind }) => kind === "claimed")
    const slot = JSON.stringify([hourOf(finishedAt), job.environment, job.model, job.mode, state])
    const [jobs = 0, prompt = 0, output = 0, cost = 0n, total = 0, started = 0, queue = 0] = slots.get(slot) ?? []
    slots.set(slot, [
      Number(jobs) + 1,
      Number(prompt) + usage.promptTokens,
      Number(output) + usage.outputTokens,
      BigInt(cost) + charged,
      Number(total) + finishedAt - job.acceptedAt,
      Number(started) + (start === undefined ? 0 : 1),
      Number(queue) + (start === undefined ? 0 : start.at - job.acceptedAt)
    ])
  }
  const rows = yield* rowsOf<JobRollup>("jobs", namespaceId)
  const found = rows.map(
    (row) =>
      [
        JSON.stringify([row.period, row.environment, row.model, row.mode, row.state]),
        [row.jobs, row.promptTokens, row.outputTokens, row.cost, row.totalMs, row.started, row.queueMs]
      ] as const
  )
  assert.deepStrictEqual(new Map(found.map(([slot, sums]) => [slot, [...sums]])), slots)
})

/** Opening + granted - charged = closing, and each number is that of the ledger's entries in these hours. */
export const assertInvoiced = Effect.fnUntraced(function* (namespaceId: NamespaceId, from: number, to: number) {
  const rollups = yield* Rollups
  const entries = yield* (yield* CreditLedger).entries(namespaceId, 0, MANY)
  const invoice = yield* rollups.invoice(namespaceId, { from, to })
  const amountOf = (kind: string, first: number, end: number) =>
    sum(
      entries.filter((entry) => entry.kind === kind && entry.at >= first && entry.at < end).map(({ amount }) => amount)
    )
  const held = (end: number) => amountOf("grant", 0, end) - amountOf("settle", 0, end)
  const { opening, closing } = invoice
  assert.strictEqual(opening.available + opening.reserved, held(from), "opening")
  assert.strictEqual(closing.available + closing.reserved, held(to), "closing")
  assert.deepStrictEqual(
    [invoice.granted, invoice.reserved, invoice.charged, invoice.refunded],
    ["grant", "reserve", "settle", "refund"].map((kind) => amountOf(kind, from, to))
  )
  const span = invoice.entries ?? { firstSeq: 1, lastSeq: 0 }
  assert.isTrue(isReconciled(invoice, yield* rollups.recount(namespaceId, span.firstSeq, span.lastSeq)))
  return invoice
})
