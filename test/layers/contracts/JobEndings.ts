/** The part of the JobStore suite about endings: one terminal state, credits exact to the unit, and everything once. */
import { assert, layer } from "@effect/vitest"
import { Effect, Exit, type Layer } from "effect"
import { CreditLedger } from "../../../src/layers/CreditLedger.ts"
import { Daemons } from "../../../src/layers/Daemons.ts"
import { type Finish, JobStore, JobSurvey } from "../../../src/layers/JobStore.ts"
import { Outbox } from "../../../src/layers/Outbox.ts"
import { CREDITS_MAX } from "../../../src/schemas/Credits.ts"
import type { DaemonId } from "../../../src/schemas/Ids.ts"
import type { JobRow, TerminalState } from "../../../src/schemas/JobState.ts"
import {
  aFinish,
  aJob,
  aJobId,
  aRelease,
  credits,
  freshTime,
  fundedNamespace,
  livingDaemon,
  MINUTE,
  SECOND
} from "../../support/factories.ts"
import {
  admitted,
  assertSound,
  atOnce,
  changingNothing,
  claimed,
  doneOf,
  entriesOf,
  type JobServices,
  messagesOf,
  purseOf,
  type StateCapabilities,
  timesAtOnce
} from "./StateProbes.ts"

/** A job with 600 of the 1,000 that its namespace has; under a new daemon, unless one is named. */
const active = Effect.fnUntraced(function* (daemonId?: DaemonId) {
  const { id: namespaceId } = yield* fundedNamespace(1_000)
  const row = yield* admitted({ namespaceId, reserved: credits(600) })
  return yield* claimed(row, daemonId ?? (yield* livingDaemon(freshTime())))
})

const finish = (row: JobRow, over: Partial<Finish> = {}) =>
  Effect.flatMap(JobStore, (store) => store.finish(aFinish(row, over)))

const unchangedBy = (row: JobRow, over: Partial<Finish> = {}) =>
  Effect.map(changingNothing(row.job.id, row.job.namespaceId, finish(row, over)), ({ _tag }) => _tag)

export const jobEndings = <E>(
  backEnd: string,
  over: Layer.Layer<JobServices, E>,
  { soleOwner = false }: StateCapabilities
) =>
  layer(over, { excludeTestServices: true })(`JobStore (endings) on ${backEnd}`, (it) => {
    it.effect("settles what was used, returns the rest, ends the history and tells the topic, when it completes", () =>
      Effect.gen(function* () {
        const store = yield* JobStore
        const row = yield* active()
        const { job } = row
        const call = aFinish(row, { charge: credits(251), code: null })

        const ended = doneOf(yield* store.finish(call))

        assert.deepStrictEqual(ended, {
          ...row,
          state: "completed",
          owner: null,
          usage: call.usage,
          charged: credits(251),
          finishedAt: call.at
        })
        assert.deepStrictEqual(yield* store.get(job.id), ended)
        assert.deepStrictEqual(yield* purseOf(job.namespaceId), [749n, 0n, 251n])
        assert.deepStrictEqual(yield* entriesOf(job), ["reserve 600", "settle 251", "refund 349"])
        const event = (yield* store.events(job.id)).at(-1)!
        assert.deepInclude(event, { seq: 3, kind: "finished", from: "active", to: "completed", epoch: 1, attempt: 1 })
        assert.deepInclude(event, { daemonId: row.owner, nodeId: row.nodeId, code: null, at: call.at })
        const { envelope, at: createdAt } = call
        const told = { id: envelope.id, target: { _tag: "Topic", topic: "job" } as const, envelope, createdAt }
        assert.deepStrictEqual((yield* messagesOf(job.id))[1], told)
        assert.strictEqual(yield* (yield* JobSurvey).open(job.namespaceId), 0)
      })
    )

    it.effect("returns all that was reserved for nothing, and nothing when all was used", () =>
      Effect.gen(function* () {
        const free = yield* active()
        const full = yield* active(free.owner!)
        yield* finish(free, { state: "failed", charge: credits(0), code: "node_lost" })
        yield* finish(full, { charge: credits(600) })

        assert.deepStrictEqual(yield* purseOf(free.job.namespaceId), [1_000n, 0n, 0n])
        assert.deepStrictEqual(yield* entriesOf(free.job), ["reserve 600", "refund 600"])
        assert.deepStrictEqual(yield* purseOf(full.job.namespaceId), [400n, 0n, 600n])
        assert.deepStrictEqual(yield* entriesOf(full.job), ["reserve 600", "settle 600"])
        yield* assertSound(free.job.namespaceId, [free.job.id])
        yield* assertSound(full.job.namespaceId, [full.job.id])
      })
    )

    it.effect("is exact to the unit, when the amounts are as large as they can be", () =>
      Effect.gen(function* () {
        const { id: namespaceId } = yield* fundedNamespace(CREDITS_MAX)
        const daemonId = yield* livingDaemon(freshTime())
        const rows: Array<JobRow> = []
        for (const charge of [0n, 1n, CREDITS_MAX - 4n]) {
          const [available] = yield* purseOf(namespaceId)
          const row = yield* admitted({ namespaceId, reserved: credits(available) })
          yield* finish(yield* claimed(row, daemonId), { charge: credits(charge) })
          rows.push(row)
        }
        assert.deepStrictEqual(yield* purseOf(namespaceId), [3n, 0n, CREDITS_MAX - 3n])
        assert.strictEqual((yield* (yield* JobStore).get(rows[2]!.job.id))?.charged, CREDITS_MAX - 4n)
        yield* assertSound(
          namespaceId,
          rows.map(({ job }) => job.id)
        )
      })
    )

    const fromActive: ReadonlyArray<TerminalState> = ["completed", "failed", "timed_out", "cancelled"]
    const fromQueued: ReadonlyArray<TerminalState> = ["failed", "expired", "cancelled"]
    for (const state of fromActive) {
      it.effect(`ends ${state} under its owner, and nothing leaves that state`, () =>
        Effect.gen(function* () {
          const row = yield* active()
          const ended = doneOf(yield* finish(row, { state, code: "why" }))
          assert.deepInclude(ended, { state, errorCode: "why", owner: null })
          for (const other of fromActive.filter((each) => each !== state)) {
            assert.strictEqual(yield* unchangedBy(row, { state: other }), "Stale")
          }
        })
      )
    }
    for (const state of fromQueued) {
      it.effect(`ends ${state} where it waits, when nobody owns it`, () =>
        Effect.gen(function* () {
          const { id: namespaceId } = yield* fundedNamespace(1_000)
          const row = yield* admitted({ namespaceId })
          const ended = doneOf(yield* finish(row, { state, code: "why" }))
          assert.deepInclude(ended, { state, errorCode: "why", epoch: 0, attempt: 0 })
          assert.deepStrictEqual(yield* purseOf(namespaceId), [1_000n, 0n, 0n])
          yield* assertSound(namespaceId, [row.job.id])
        })
      )
    }

    it.effect("ends where it waits with the epoch that it was handed back with, and no other", () =>
      Effect.gen(function* () {
        const row = yield* active()
        const waiting = doneOf(yield* (yield* JobStore).release(aRelease(row)))
        assert.strictEqual(yield* unchangedBy(waiting, { epoch: 0, state: "expired" }), "Stale")
        assert.strictEqual(yield* unchangedBy(row), "Stale", "its last owner")
        assert.deepInclude(doneOf(yield* finish(waiting, { state: "expired" })), { epoch: 1, state: "expired" })
      })
    )

    it.effect("takes an ending that comes again for a repeat: nothing is settled or told twice", () =>
      Effect.gen(function* () {
        const store = yield* JobStore
        const row = yield* active()
        const call = aFinish(row, { charge: credits(600) })
        const ended = doneOf(yield* store.finish(call))
        yield* (yield* Outbox).sent([call.envelope.id])

        const again = yield* changingNothing(row.job.id, row.job.namespaceId, store.finish(call))

        assert.deepStrictEqual(again, { _tag: "Repeated", row: ended })
        assert.notStrictEqual(yield* unchangedBy(row, { charge: credits(1), usage: call.usage }), "Done")
      })
    )

    it.effect("takes an ending where it waits for a repeat too", () =>
      Effect.gen(function* () {
        const store = yield* JobStore
        const row = yield* admitted()
        const call = aFinish(row, { state: "expired" })
        const ended = doneOf(yield* store.finish(call))
        assert.deepStrictEqual(yield* store.finish(call), { _tag: "Repeated", row: ended })
      })
    )

    it.effect("is not ended by the past, by others, by nobody, or when it is unknown", () =>
      Effect.gen(function* () {
        const waiting = yield* admitted()
        const daemonId = yield* livingDaemon(freshTime())
        assert.strictEqual(yield* unchangedBy(waiting, { daemonId, state: "completed" }), "Stale", "not the owner yet")

        const first = yield* claimed(waiting, daemonId)
        const row = yield* claimed(first, daemonId)
        assert.strictEqual(yield* unchangedBy(first), "Stale", "the past")
        assert.strictEqual(yield* unchangedBy(row, { epoch: 3 }), "Stale", "the future")
        assert.strictEqual(yield* unchangedBy(row, { daemonId: null, state: "cancelled" }), "Stale", "nobody")
        const unknown = yield* finish({ ...row, job: aJob() })
        assert.deepStrictEqual(unknown, { _tag: "Stale", row: null })
        doneOf(yield* finish(row))
      })
    )

    it.effect("is not ended by a daemon that was declared dead, nor by one that does not own it", () =>
      Effect.gen(function* () {
        const daemons = yield* Daemons
        const at = freshTime()
        const { id: namespaceId } = yield* fundedNamespace(1_000)
        const owner = yield* livingDaemon(at)
        const row = yield* claimed(yield* admitted({ namespaceId }), owner)
        const other = yield* livingDaemon(at + MINUTE)
        assert.strictEqual(yield* unchangedBy(row, { daemonId: other }), "Stale")
        yield* daemons.bury(at + SECOND)

        assert.strictEqual(yield* unchangedBy(row), "Stale")
        const taken = yield* claimed(row, other, { nodeId: null, crashed: true })
        assert.strictEqual(yield* unchangedBy(row), "Stale")
        doneOf(yield* finish(taken, { charge: credits(7) }))
        assert.deepStrictEqual(yield* purseOf(namespaceId), [993n, 0n, 7n])
      })
    )

    it.effect("dies and changes nothing, when the charge is above what was reserved", () =>
      Effect.gen(function* () {
        const row = yield* active()
        const exit = yield* changingNothing(
          row.job.id,
          row.job.namespaceId,
          Effect.exit(finish(row, { charge: credits(601) }))
        )
        assert.isTrue(Exit.hasDies(exit))
        doneOf(yield* finish(row, { charge: credits(600) }))
      })
    )

    it.effect("dies and changes nothing, when the move is not legal", () =>
      Effect.gen(function* () {
        const [waiting, row] = [yield* admitted(), yield* active()]
        const dies = (of: JobRow, state: TerminalState) =>
          Effect.map(changingNothing(of.job.id, of.job.namespaceId, Effect.exit(finish(of, { state }))), (exit) =>
            assert.isTrue(Exit.hasDies(exit), `${of.state} to ${state}`)
          )
        yield* dies(row, "expired")
        yield* dies(waiting, "completed")
        yield* dies(waiting, "timed_out")
      })
    )

    it.effect("settles once, when one ending comes fifty times at once", () =>
      Effect.gen(function* () {
        const store = yield* JobStore
        const row = yield* active()
        const call = aFinish(row, { charge: credits(600) })
        const answers = yield* timesAtOnce(50, () => store.finish(call))
        const tags = answers.map(({ _tag }) => _tag).toSorted()
        assert.deepStrictEqual(tags, ["Done", ...Array<"Repeated">(49).fill("Repeated")])
        assert.deepStrictEqual(yield* purseOf(row.job.namespaceId), [400n, 0n, 600n])
        yield* assertSound(row.job.namespaceId, [row.job.id])
      })
    )

    it.effect("ends in one state, when different endings and claims race", () =>
      Effect.gen(function* () {
        const store = yield* JobStore
        const row = yield* active()
        const { id, namespaceId } = row.job
        const calls = [
          ...fromActive.map((state) => finish(row, { state, charge: credits(5) })),
          store.release(aRelease(row)),
          finish({ ...row, owner: null }, { state: "expired" })
        ]
        const answers = yield* atOnce(calls)
        // A hand-back that wins leaves the row to the call of nobody, which may come after it.
        assert.include([1, 2], answers.filter(({ _tag }) => _tag === "Done").length)
        yield* assertSound(namespaceId, [id])
      })
    )

    it.effect.skipIf(soleOwner)("lets each of two living daemons end its own jobs only", () =>
      Effect.gen(function* () {
        const at = freshTime()
        const [one, two] = [yield* livingDaemon(at), yield* livingDaemon(at)]
        const [mine, yours] = [yield* claimed(yield* admitted(), one), yield* claimed(yield* admitted(), two)]
        assert.strictEqual(yield* unchangedBy(mine, { daemonId: two }), "Stale")
        assert.strictEqual(yield* unchangedBy(yours, { daemonId: one }), "Stale")
        doneOf(yield* finish(mine))
        doneOf(yield* finish(yours))
      })
    )

    it.effect("forgets the end user of what has ended, whatever the tag looks like, and changes nothing else", () =>
      Effect.gen(function* () {
        const store = yield* JobStore
        const daemonId = yield* livingDaemon(freshTime())
        const model = `m "clientTag":"no" ${"\\"}`
        for (const clientTag of ["anna", `"clientTag":"x"`, `a"b${"\\"}`, "\u0000 é 😀 \ud800", "", null]) {
          const { id: namespaceId } = yield* fundedNamespace(10_000)
          const job = yield* admitted({ namespaceId, clientTag, model })
          const running = yield* claimed(job, daemonId)
          const ended = doneOf(
            yield* finish(yield* claimed(yield* admitted({ namespaceId, clientTag, model }), daemonId))
          )
          const ids = [running.job.id, ended.job.id, aJobId()]
          for (let twice = 0; twice < 2; twice++) yield* store.forgetTags(ids)
          assert.deepStrictEqual(yield* store.get(running.job.id), running)
          assert.deepStrictEqual(yield* store.get(ended.job.id), { ...ended, job: { ...ended.job, clientTag: null } })
          yield* assertSound(namespaceId, ids)
        }
        yield* store.forgetTags([])
      })
    )

    it.effect("is found sound by the ledger's own audit, when jobs have ended in every way", () =>
      Effect.gen(function* () {
        const { id: namespaceId } = yield* fundedNamespace(10_000)
        const daemonId = yield* livingDaemon(freshTime())
        const rows: Array<JobRow> = []
        for (const state of [...fromActive, null]) {
          const row = yield* claimed(yield* admitted({ namespaceId }), daemonId)
          if (state !== null) yield* finish(row, { state, charge: credits(rows.length * 100) })
          rows.push(row)
        }
        const findings = yield* (yield* CreditLedger).audit
        assert.isFalse(findings.some((finding) => finding.namespaceId === namespaceId))
        yield* assertSound(
          namespaceId,
          rows.map(({ job }) => job.id)
        )
      })
    )
  })
