/** What every JobRowRetention must do: let go of rows that nothing needs any more, whole or not at all, and leave the money as it was. */
import { assert, it } from "@effect/vitest"
import { Effect, type Layer, Schema } from "effect"
import { CreditLedger } from "../../../src/layers/CreditLedger.ts"
import { JobRowRetention } from "../../../src/layers/JobRowRetention.ts"
import { type Admission, JobStore } from "../../../src/layers/JobStore.ts"
import { Outbox } from "../../../src/layers/Outbox.ts"
import { Rollups } from "../../../src/layers/Rollups.ts"
import { segmentIdOf } from "../../../src/policies/Retention.ts"
import { JobRowLine } from "../../../src/schemas/JobRowLine.ts"
import type { DaemonId, JobId, NamespaceId } from "../../../src/schemas/Ids.ts"
import { laneOf } from "../../../src/schemas/Job.ts"
import { DAY_MS, HOUR_MS } from "../../../src/schemas/Rollup.ts"
import {
  aClaim,
  aFinish,
  aJob,
  anAdmission,
  anOutboxRow,
  credits,
  fundedNamespace,
  MINUTE,
  unique
} from "../../support/factories.ts"
import { freshSegment } from "../../support/recordFactories.ts"
import { assertFolded, assertInvoiced, live, makeDays, rollUp, rowsOf, Step } from "./RollupHistory.ts"
import type { RollupServices } from "./Rollups.contract.ts"
import { MANY, THE_END } from "./StateProbes.ts"

export type RowServices = RollupServices | JobRowRetention

export interface RowCapabilities {
  readonly runs?: number
}

/** A job that was claimed, and ended so. */
export const endedJob = Effect.fnUntraced(function* (
  namespaceId: NamespaceId,
  daemonId: DaemonId,
  at: number,
  idempotency: Admission["idempotency"] = null
) {
  const store = yield* JobStore
  const job = aJob({ namespaceId, acceptedAt: at - MINUTE, reserved: credits(100) })
  const { row } = yield* store.admit(anAdmission(job, { idempotency }))
  yield* store.claim(aClaim(row, daemonId, { at: at - 2 }))
  yield* store.finish(aFinish((yield* store.get(job.id))!, { charge: credits(30), at }))
  return job.id
})

export const publishAll = Effect.gen(function* () {
  const outbox = yield* Outbox
  yield* outbox.sent((yield* outbox.pending(THE_END, MANY)).map(({ id }) => id))
})

/** All that was ended until here is counted, and the days are closed. */
export const closeUntil = Effect.fnUntraced(function* (end: number) {
  yield* rollUp(end)
  yield* (yield* Rollups).close("accounts", end, MANY)
})

/** Nobody holds it back: everything that the store lets go, in batches of this size. */
const letGo = Effect.fnUntraced(function* (bounds: { before: number; now: number }, max: number) {
  const rows = yield* JobRowRetention
  const gone: Array<JobId> = []
  while (true) {
    const ids = (yield* rows.expired(null, bounds, max)).map(({ jobId }) => jobId)
    if (ids.length === 0) return gone
    const segmentId = segmentIdOf(null, ids, "rows")
    assert.strictEqual(yield* rows.mark(segmentId, ids, bounds), ids.length)
    assert.strictEqual(yield* rows.prune(segmentId), ids.length)
    gone.push(...ids)
  }
})

/** What the ledger and the rollups say. */
const booksOf = Effect.fnUntraced(function* (namespaces: ReadonlyArray<NamespaceId>, from: number, to: number) {
  const ledger = yield* CreditLedger
  return {
    audit: yield* ledger.audit,
    totals: yield* ledger.totals,
    entries: yield* Effect.forEach(namespaces, (id) => ledger.entries(id, 0, MANY)),
    balances: yield* Effect.forEach(namespaces, (id) => ledger.balance(id)),
    rollups: [yield* rowsOf("credits", null), yield* rowsOf("jobs", null), yield* rowsOf("accounts", null)],
    invoices: yield* Effect.forEach(namespaces, (id) => assertInvoiced(id, from, to))
  }
})

export const jobRowRetentionContract = (
  backEnd: string,
  layer: Layer.Layer<RowServices, unknown>,
  { runs = 25 }: RowCapabilities = {}
) =>
  it.layer(layer)(`JobRowRetention on ${backEnd}`, (it) => {
    const { freshStart, daemon } = makeDays()
    const boundsAt = (before: number) => ({ before, now: before })

    it.effect("offers what ended on closed days, is counted, is out and has no living key, by its end", () =>
      Effect.gen(function* () {
        const [rows, store, outbox] = [yield* JobRowRetention, yield* JobStore, yield* Outbox]
        const [day, daemonId] = [freshStart(), yield* daemon]
        const { id: namespaceId } = yield* fundedNamespace(10_000, { createdAt: day })
        const expired = (bounds = boundsAt(day + 5 * DAY_MS), limit = MANY) =>
          Effect.map(rows.expired(null, bounds, limit), (found) =>
            found.filter((one) => one.namespaceId === namespaceId).map(({ jobId }) => jobId)
          )
        const ended = (at: number, expiresAt?: number) =>
          endedJob(
            namespaceId,
            daemonId,
            at,
            expiresAt === undefined ? null : { key: unique(), bodyHash: "body", expiresAt }
          )
        const late = yield* ended(day + 2 * HOUR_MS, day + DAY_MS)
        const twins = [yield* ended(day + HOUR_MS), yield* ended(day + HOUR_MS)].toSorted()
        const kept = yield* ended(day + HOUR_MS, day + 6 * DAY_MS)
        const waiting = aJob({ namespaceId, acceptedAt: day + HOUR_MS, reserved: credits(1) })
        yield* store.admit(anAdmission(waiting))
        const next = yield* ended(day + DAY_MS + HOUR_MS)
        yield* publishAll

        assert.deepStrictEqual(yield* expired(), [], "no hour is closed")
        yield* rollUp(day + DAY_MS)
        assert.deepStrictEqual(yield* expired(), [], "accounts are not closed")
        yield* closeUntil(day + DAY_MS - HOUR_MS)
        assert.deepStrictEqual(yield* expired(), [], "an hour of the day is open")
        yield* closeUntil(day + 2 * DAY_MS - HOUR_MS)
        assert.deepStrictEqual(yield* expired(), [...twins, late])
        yield* closeUntil(day + 2 * DAY_MS)
        assert.deepStrictEqual(yield* expired(), [...twins, late, next])
        assert.deepStrictEqual(yield* expired(boundsAt(day + 2 * HOUR_MS)), twins)
        assert.deepStrictEqual(
          yield* expired({ before: day + 2 * DAY_MS, now: day + 6 * DAY_MS }),
          [...twins, kept].toSorted().concat(late, next)
        )

        const after = (yield* rows.expired(null, boundsAt(day + 5 * DAY_MS), MANY)).find(({ jobId }) => jobId === late)!
        const rest = yield* rows.expired(after, boundsAt(day + 5 * DAY_MS), MANY)
        assert.deepStrictEqual(
          rest.map(({ jobId }) => jobId),
          [next]
        )

        // A message of a time, and one that tells of the job itself.
        const message = anOutboxRow(day + 90 * MINUTE)
        yield* outbox.add([message])
        assert.deepStrictEqual(yield* expired(), twins)
        yield* outbox.sent([message.id])
        const own = anAdmission((yield* store.get(late))!.job)
        yield* outbox.add([
          { id: own.envelope.id, target: anOutboxTarget(own), envelope: own.envelope, createdAt: day + 9 * DAY_MS }
        ])
        assert.deepStrictEqual(yield* expired(), [...twins, next])
        yield* outbox.sent([own.envelope.id])
      })
    )

    it.effect("does not offer what the rollups did not take, however old it is", () =>
      Effect.gen(function* () {
        const rows = yield* JobRowRetention
        const [day, daemonId] = [freshStart(), yield* daemon]
        const { id: namespaceId } = yield* fundedNamespace(10_000, { createdAt: day })
        yield* closeUntil(day + 3 * DAY_MS)
        const late = yield* endedJob(namespaceId, daemonId, day + HOUR_MS)
        yield* publishAll
        const bounds = boundsAt(day + 2 * DAY_MS)
        const offered = Effect.map(rows.expired(null, bounds, MANY), (found) =>
          found.some(({ jobId }) => jobId === late)
        )
        assert.isFalse(yield* offered)
        assert.strictEqual(yield* rows.mark(freshSegment(), [late], bounds), 0)
        yield* closeUntil(day + 4 * DAY_MS)
        assert.isTrue(yield* offered)
      })
    )

    it.effect("S93: a marked batch is the same however often it is read, and goes whole; its key is free again", () =>
      Effect.gen(function* () {
        const [rows, store] = [yield* JobRowRetention, yield* JobStore]
        const [day, daemonId] = [freshStart(), yield* daemon]
        const { id: namespaceId } = yield* fundedNamespace(10_000, { createdAt: day })
        const key = { key: unique(), bodyHash: "body", expiresAt: day + DAY_MS }
        const first = yield* endedJob(namespaceId, daemonId, day + 2 * HOUR_MS, key)
        const second = yield* endedJob(namespaceId, daemonId, day + HOUR_MS)
        const stays = yield* endedJob(namespaceId, daemonId, day + DAY_MS + HOUR_MS)
        yield* publishAll
        yield* closeUntil(day + 3 * DAY_MS)
        const bounds = boundsAt(day + DAY_MS)
        const [segmentId, other] = [freshSegment(), freshSegment()]

        assert.strictEqual(yield* rows.mark(segmentId, [first, second, stays], bounds), 2)
        assert.strictEqual(yield* rows.mark(segmentId, [first], bounds), 2)
        assert.strictEqual(yield* rows.mark(other, [second], bounds), 0)
        const offered = (yield* rows.expired(null, bounds, MANY)).map(({ jobId }) => jobId)
        assert.notInclude(offered, first)
        assert.deepInclude(yield* rows.retiring, { segmentId, count: 2 })
        const batch = yield* rows.read(segmentId)
        assert.deepStrictEqual(
          batch,
          yield* Effect.forEach([second, first], (id) =>
            Effect.gen(function* () {
              return { row: (yield* store.get(id))!, events: yield* store.events(id) } as never
            })
          )
        )
        assert.deepStrictEqual(yield* rows.read(segmentId), batch)
        for (const each of batch) {
          const decoded = Schema.decodeUnknownSync(JobRowLine)(Schema.encodeSync(JobRowLine)(each))
          assert.deepStrictEqual(decoded, each)
        }

        assert.strictEqual(yield* rows.prune(segmentId), 2)
        assert.strictEqual(yield* rows.prune(segmentId), 0)
        assert.deepStrictEqual(yield* rows.read(segmentId), [])
        assert.notInclude(
          (yield* rows.retiring).map((each) => each.segmentId),
          segmentId
        )
        for (const id of [first, second]) {
          assert.isNull(yield* store.get(id))
          assert.deepStrictEqual(yield* store.events(id), [])
        }
        assert.isNotNull(yield* store.get(stays))
        const again = aJob({ namespaceId, acceptedAt: day + 2 * DAY_MS, reserved: credits(1) })
        const admitted = yield* store.admit(
          anAdmission(again, { idempotency: { ...key, expiresAt: day + 9 * DAY_MS, bodyHash: "another" } })
        )
        assert.deepStrictEqual([admitted.created, admitted.row.job.id], [true, again.id])
      })
    )

    it.effect.prop(
      "C97: rows that left change nothing of the ledger, its audit, invoices and rollups, for any history, and what is open goes on",
      { steps: Schema.Array(Step).check(Schema.isMinLength(15), Schema.isMaxLength(60)) },
      ({ steps }) =>
        Effect.gen(function* () {
          const store = yield* JobStore
          const lived = yield* live(freshStart(), yield* daemon, steps)
          const { namespaces, start, end } = lived
          yield* publishAll
          const closed = end + 2 * DAY_MS
          yield* closeUntil(closed)
          const before = yield* booksOf(namespaces, start, end)
          assert.deepStrictEqual([...before.audit], [])

          const gone = new Set(yield* letGo(boundsAt(closed), 3))
          const ended = lived.jobs.filter((id) => !lived.open.includes(id))
          assert.isTrue(ended.every((id) => gone.has(id)))
          for (const id of ended) assert.isNull(yield* store.get(id))
          assert.deepStrictEqual(yield* booksOf(namespaces, start, end), before)

          for (const id of lived.open) {
            const row = (yield* store.get(id))!
            yield* store.finish(aFinish(row, { state: "cancelled", at: closed + HOUR_MS }))
          }
          yield* closeUntil(closed + DAY_MS)
          for (const id of namespaces) yield* assertFolded(id)
          const after = yield* booksOf(namespaces, start, end)
          assert.deepStrictEqual([after.audit, after.invoices], [before.audit, before.invoices])
        }),
      { arbitrary: { runs } }
    )
  })

const anOutboxTarget = ({ job }: Admission) => ({ _tag: "Lane", lane: laneOf(job) }) as const
