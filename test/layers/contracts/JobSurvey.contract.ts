/** What every JobSurvey must do, whatever it is made of. Each test looks only for its own jobs among those that are found. */
import { assert, layer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { Daemons } from "../../../src/layers/Daemons.ts"
import { JobStore, JobSurvey } from "../../../src/layers/JobStore.ts"
import { Outbox } from "../../../src/layers/Outbox.ts"
import { JobId } from "../../../src/schemas/Ids.ts"
import { laneOf } from "../../../src/schemas/Job.ts"
import {
  aFinish,
  anEnvelope,
  anOutboxRow,
  aRelease,
  credits,
  freshTime,
  fundedNamespace,
  livingDaemon,
  MINUTE,
  queuedEnvelope,
  queuedRow,
  SECOND,
  unique
} from "../../support/factories.ts"
import {
  admitted,
  claimed,
  doneOf,
  idsOf,
  type JobServices,
  MANY,
  messagesOf,
  ofNamespace,
  type StateCapabilities
} from "./StateProbes.ts"

/** Three waiting jobs of one namespace, in the order of their ids, with the time they were accepted at. */
const three = Effect.fnUntraced(function* (model = "tiny") {
  const { id: namespaceId } = yield* fundedNamespace(1_000_000)
  const acceptedAt = freshTime()
  const word = unique()
  const submit = (name: string, deadlineAt: number) =>
    admitted({ id: JobId.make(`job_${word}-${name}`), namespaceId, model, acceptedAt, deadlineAt })
  const rows = [
    yield* submit("a", acceptedAt + 3 * SECOND),
    yield* submit("b", acceptedAt + SECOND),
    yield* submit("c", acceptedAt + 2 * SECOND)
  ] as const
  return { namespaceId, acceptedAt, rows, ids: idsOf(rows) }
})

const sent = (...ids: ReadonlyArray<JobId>) =>
  Effect.flatMap(Outbox, (outbox) =>
    Effect.flatMap(messagesOf(...ids), (rows) => outbox.sent(rows.map(({ id }) => id)))
  )

export const jobSurveyContract = <E>(
  backEnd: string,
  over: Layer.Layer<JobServices, E>,
  { soleOwner = false }: StateCapabilities = {}
) =>
  layer(over, { excludeTestServices: true })(`JobSurvey on ${backEnd}`, (it) => {
    it.effect("finds the unfinished whose deadline has passed, oldest deadline first, wherever they are", () =>
      Effect.gen(function* () {
        const survey = yield* JobSurvey
        const store = yield* JobStore
        const { namespaceId, acceptedAt, rows, ids } = yield* three()
        const [a, b, c] = ids
        const due = (now: number) =>
          Effect.map(survey.due(now, MANY), (found) => idsOf(ofNamespace(found, namespaceId)))

        assert.deepStrictEqual(yield* due(acceptedAt + SECOND - 1), [])
        assert.deepStrictEqual(yield* due(acceptedAt + MINUTE), [b, c, a])
        const daemonId = yield* livingDaemon(acceptedAt)
        const active = yield* claimed(rows[1], daemonId)
        assert.deepStrictEqual(yield* due(acceptedAt + MINUTE), [b, c, a], "active too")
        doneOf(yield* store.finish(aFinish(active)))
        doneOf(yield* store.finish(aFinish(rows[0], { state: "expired" })))
        assert.deepStrictEqual(yield* due(acceptedAt + MINUTE), [c])
        const found = yield* survey.due(acceptedAt + MINUTE, MANY)
        assert.deepStrictEqual(ofNamespace(found, namespaceId), [yield* store.get(c!)])
        assert.strictEqual((yield* survey.due(acceptedAt + MINUTE, 1)).length, 1)
      })
    )

    it.effect("finds the waiting whose message is gone, in pages by id, and none that is announced or owned", () =>
      Effect.gen(function* () {
        const survey = yield* JobSurvey
        const { namespaceId, acceptedAt, rows, ids } = yield* three()
        const [a, b, c] = ids
        const later = acceptedAt + MINUTE
        const waiting = (before: number, after: JobId | null) =>
          Effect.map(survey.waiting(before, after, MANY), (found) => idsOf(ofNamespace(found, namespaceId)))

        assert.deepStrictEqual(yield* waiting(later, null), [], "all are announced")
        yield* sent(...ids)
        assert.deepStrictEqual(yield* waiting(later, null), [a, b, c])
        assert.deepStrictEqual(yield* waiting(later, a!), [b, c])
        assert.deepStrictEqual(idsOf(yield* survey.waiting(later, a!, 1)), [b])
        assert.deepStrictEqual(yield* waiting(acceptedAt - 1, null), [], "not ready by then")
        yield* claimed(rows[1], yield* livingDaemon(acceptedAt))
        assert.deepStrictEqual(yield* waiting(later, null), [a, c])
      })
    )

    it.effect("finds a waiting job again, when a repair's message for it was sent, and not while it is pending", () =>
      Effect.gen(function* () {
        const survey = yield* JobSurvey
        const outbox = yield* Outbox
        const { namespaceId, acceptedAt, rows, ids } = yield* three()
        const waiting = Effect.map(survey.waiting(acceptedAt + MINUTE, null, MANY), (found) =>
          idsOf(ofNamespace(found, namespaceId))
        )
        yield* sent(...ids)
        const { job } = rows[0]
        const cancel = anEnvelope({ _tag: "CancelJob", jobId: rows[1].job.id, cause: "client" })

        yield* outbox.add([
          queuedRow(job, queuedEnvelope(job)),
          anOutboxRow(acceptedAt, {
            id: cancel.id,
            envelope: cancel,
            target: { _tag: "Inbox", daemonId: yield* livingDaemon(acceptedAt) }
          })
        ])

        assert.deepStrictEqual(
          yield* waiting,
          ids.slice(1),
          "a message about a job that is not to its lane is no announcement"
        )
        yield* sent(...ids)
        assert.deepStrictEqual(yield* waiting, ids)
      })
    )

    it.effect("finds no job whose delay after a hand-back is not over", () =>
      Effect.gen(function* () {
        const survey = yield* JobSurvey
        const { namespaceId, acceptedAt, rows } = yield* three()
        const active = yield* claimed(rows[0], yield* livingDaemon(acceptedAt))
        const runAt = acceptedAt + MINUTE
        doneOf(yield* (yield* JobStore).release(aRelease(active, { runAt })))
        yield* sent(active.job.id)
        const waiting = (before: number) =>
          Effect.map(survey.waiting(before, null, MANY), (found) => idsOf(ofNamespace(found, namespaceId)))

        assert.deepStrictEqual(yield* waiting(runAt - 1), [])
        assert.deepStrictEqual(yield* waiting(runAt + 1), [active.job.id])
      })
    )

    it.effect("finds the active jobs of owners that were declared dead or left, and no others", () =>
      Effect.gen(function* () {
        const survey = yield* JobSurvey
        const daemons = yield* Daemons
        const { namespaceId, acceptedAt, rows, ids } = yield* three()
        const orphans = Effect.map(survey.orphans(MANY), (found) => idsOf(ofNamespace(found, namespaceId)).toSorted())
        const dying = yield* livingDaemon(acceptedAt)
        const first = yield* claimed(rows[0], dying)
        assert.deepStrictEqual(yield* orphans, [])

        const leaving = yield* livingDaemon(acceptedAt + MINUTE)
        yield* daemons.bury(acceptedAt + SECOND)
        yield* claimed(rows[1], leaving)
        assert.deepStrictEqual(yield* orphans, [ids[0]])
        yield* daemons.leave(leaving, acceptedAt + MINUTE)
        assert.deepStrictEqual(yield* orphans, [ids[0], ids[1]])
        assert.isAtMost((yield* survey.orphans(1)).length, 1)

        const heir = yield* livingDaemon(acceptedAt + MINUTE)
        yield* claimed(first, heir, { nodeId: null })
        assert.deepStrictEqual(yield* orphans, [ids[1]])
      })
    )

    it.effect.skipIf(soleOwner)("takes no job of a living daemon for an orphan, when another dies", () =>
      Effect.gen(function* () {
        const { namespaceId, acceptedAt, rows, ids } = yield* three()
        const [living, dying] = [yield* livingDaemon(acceptedAt + MINUTE), yield* livingDaemon(acceptedAt)]
        yield* claimed(rows[0], living)
        yield* claimed(rows[1], dying)
        yield* (yield* Daemons).bury(acceptedAt + SECOND)
        const found = yield* (yield* JobSurvey).orphans(MANY)
        assert.deepStrictEqual(idsOf(ofNamespace(found, namespaceId)), [ids[1]])
      })
    )

    it.effect("counts who waits in each lane and since when, also in lanes with odd names", () =>
      Effect.gen(function* () {
        const survey = yield* JobSurvey
        const store = yield* JobStore
        const model = `a.b/${unique()} "é"`
        const { namespaceId, acceptedAt, rows } = yield* three(model)
        const later = acceptedAt + MINUTE
        const bulk = yield* admitted({ namespaceId, model, priority: "bulk", acceptedAt: later })
        const own = yield* admitted({ namespaceId, model, constraints: { subcloud: "x.y" }, acceptedAt: later })
        const lanes = Effect.map(survey.lanes, (all) =>
          all
            .filter(({ lane }) => lane.model === model)
            .toSorted((one, two) => two.waiting - one.waiting || one.lane.priority.localeCompare(two.lane.priority))
        )
        const [mine, other, mySubcloud] = [laneOf(rows[0].job), laneOf(bulk.job), laneOf(own.job)]
        assert.deepStrictEqual(yield* lanes, [
          { lane: mine, waiting: 3, oldestAt: acceptedAt },
          { lane: other, waiting: 1, oldestAt: later },
          { lane: mySubcloud, waiting: 1, oldestAt: later }
        ])

        const daemonId = yield* livingDaemon(acceptedAt)
        for (const row of rows) yield* claimed(row, daemonId)
        doneOf(yield* store.finish(aFinish(bulk)))
        assert.deepStrictEqual(yield* lanes, [{ lane: mySubcloud, waiting: 1, oldestAt: later }])
      })
    )

    it.effect("counts the unfinished jobs of a namespace, waiting and active", () =>
      Effect.gen(function* () {
        const survey = yield* JobSurvey
        const { namespaceId, acceptedAt, rows } = yield* three()
        const active = yield* claimed(rows[0], yield* livingDaemon(acceptedAt))
        assert.strictEqual(yield* survey.open(namespaceId), 3)
        yield* (yield* JobStore).finish(aFinish(active, { charge: credits(1) }))
        assert.strictEqual(yield* survey.open(namespaceId), 2)
      })
    )
  })
