/** What every Outbox must do, whatever it is made of. What JobStore's transactions put into it stands in the JobStore suite. */
import { assert, layer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { Outbox, type OutboxRow } from "../../../src/layers/Outbox.ts"
import {
  aDaemonId,
  aJob,
  anEnvelope,
  anEnvelopeId,
  anOutboxRow,
  freshTime,
  queuedEnvelope,
  queuedRow
} from "../../support/factories.ts"
import { atOnce, MANY } from "./StateProbes.ts"

const pendingOf = (rows: ReadonlyArray<OutboxRow>, before: number) =>
  Effect.map(
    Effect.flatMap(Outbox, (outbox) => outbox.pending(before, MANY)),
    (all) => all.filter(({ id }) => rows.some((row) => row.id === id))
  )

export const outboxContract = <E>(backEnd: string, over: Layer.Layer<Outbox, E>) =>
  layer(over, { excludeTestServices: true })(`Outbox on ${backEnd}`, (it) => {
    it.effect("gives back what was added as it was, oldest first, whoever it is for", () =>
      Effect.gen(function* () {
        const at = freshTime()
        const job = aJob({ acceptedAt: at + 2, model: 'é "quoted".model', constraints: { subcloud: "sub.cloud" } })
        const lane = queuedRow(job, { ...queuedEnvelope(job), traceparent: "00-abc-def-01", replyTo: "daemon/x" })
        const inbox = anEnvelope(
          { _tag: "CancelJob", jobId: job.id, cause: "operator" },
          { deadlineAt: at, attempt: 7 }
        )
        const rows: ReadonlyArray<OutboxRow> = [
          anOutboxRow(at),
          { id: inbox.id, target: { _tag: "Inbox", daemonId: aDaemonId() }, envelope: inbox, createdAt: at + 1 },
          lane,
          anOutboxRow(at + 3, { target: { _tag: "Sweeper", name: "expiry" } }),
          anOutboxRow(at + 4, { target: { _tag: "Parked", reason: "no such kind" } })
        ]
        yield* (yield* Outbox).add(rows.toReversed())

        assert.deepStrictEqual(yield* pendingOf(rows, at + 10), rows)
      })
    )

    it.effect("gives only what was created before the instant, and no more than asked for", () =>
      Effect.gen(function* () {
        const outbox = yield* Outbox
        const at = freshTime()
        const rows = [anOutboxRow(at), anOutboxRow(at + 10), anOutboxRow(at + 20)]
        yield* outbox.add(rows)

        assert.deepStrictEqual(yield* pendingOf(rows, at - 1), [])
        assert.deepStrictEqual(yield* pendingOf(rows, at + 15), rows.slice(0, 2))
        assert.strictEqual((yield* outbox.pending(at + 30, 2)).length, 2)
      })
    )

    it.effect("keeps a row however often it is read, until it was sent", () =>
      Effect.gen(function* () {
        const outbox = yield* Outbox
        const at = freshTime()
        const rows = [anOutboxRow(at), anOutboxRow(at + 1), anOutboxRow(at + 2)]
        yield* outbox.add(rows)
        assert.deepStrictEqual(yield* pendingOf(rows, at + 10), rows)

        yield* outbox.sent([rows[1]!.id])
        assert.deepStrictEqual(yield* pendingOf(rows, at + 10), [rows[0], rows[2]])
        yield* outbox.sent([rows[1]!.id, anEnvelopeId(), rows[0]!.id])
        yield* outbox.sent([])
        assert.deepStrictEqual(yield* pendingOf(rows, at + 10), [rows[2]])
      })
    )

    it.effect("holds one row for one id, the first", () =>
      Effect.gen(function* () {
        const outbox = yield* Outbox
        const at = freshTime()
        const row = anOutboxRow(at)
        yield* outbox.add([row])
        yield* outbox.add([{ ...row, createdAt: at + 5 }, anOutboxRow(at)])
        yield* outbox.add([])
        assert.deepStrictEqual(yield* pendingOf([row], at + 10), [row])
      })
    )

    it.effect("is at least as deep as what was added and not sent", () =>
      Effect.gen(function* () {
        const outbox = yield* Outbox
        const rows = Array.from({ length: 20 }, () => anOutboxRow(freshTime()))
        yield* atOnce(rows.map((row) => outbox.add([row])))
        assert.isAtLeast(yield* outbox.depth, 20)
        assert.strictEqual((yield* pendingOf(rows, 8_640_000_000_000_000)).length, 20)
      })
    )
  })
