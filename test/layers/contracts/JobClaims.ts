/** The part of the JobStore suite about who acts for a job: claims with their guards, take-over after a death, and hand-backs. */
import { assert, layer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { Daemons } from "../../../src/layers/Daemons.ts"
import { type Claim, type Claimed, JobStore } from "../../../src/layers/JobStore.ts"
import { Outbox } from "../../../src/layers/Outbox.ts"
import type { DaemonId } from "../../../src/schemas/Ids.ts"
import { laneOf } from "../../../src/schemas/Job.ts"
import type { JobRow } from "../../../src/schemas/JobState.ts"
import {
  aClaim,
  aFinish,
  aJob,
  aNodeId,
  aRelease,
  freshTime,
  livingDaemon,
  MINUTE,
  SECOND
} from "../../support/factories.ts"
import {
  admitted,
  atOnce,
  changingNothing,
  claimed,
  claimedOf,
  doneOf,
  type JobServices,
  messagesOf,
  type StateCapabilities
} from "./StateProbes.ts"

/** The claimer's answer, and that a refusal changed nothing. */
const refusedFor = (row: JobRow, daemonId: DaemonId, over: Partial<Claim> = {}) =>
  Effect.gen(function* () {
    const store = yield* JobStore
    const { id, namespaceId } = row.job
    const answer: Claimed = yield* changingNothing(id, namespaceId, store.claim(aClaim(row, daemonId, over)))
    assert.deepStrictEqual(answer.row, yield* store.get(id))
    return answer._tag === "Refused" ? answer.why : answer._tag
  })

/** Declares one daemon dead that has not beaten since `at`; any other beats first. */
const bury = (at: number, ...others: ReadonlyArray<DaemonId>) =>
  Effect.gen(function* () {
    const daemons = yield* Daemons
    for (const other of others) yield* daemons.beat(other, at + MINUTE)
    yield* daemons.bury(at + SECOND)
  })

export const jobClaims = <E>(
  backEnd: string,
  over: Layer.Layer<JobServices, E>,
  { soleOwner = false }: StateCapabilities
) =>
  layer(over, { excludeTestServices: true })(`JobStore (claims) on ${backEnd}`, (it) => {
    it.effect("gives the job to the claimer with the next epoch and attempt, and tells it in the history", () =>
      Effect.gen(function* () {
        const store = yield* JobStore
        const row = yield* admitted()
        const daemonId = yield* livingDaemon(freshTime())
        const claim = aClaim(row, daemonId)

        const next = claimedOf(yield* store.claim(claim))

        const expected = { state: "active", owner: daemonId, epoch: 1, attempt: 1, nodeId: claim.nodeId } as const
        assert.deepStrictEqual(next, { ...row, ...expected })
        assert.deepStrictEqual(yield* store.get(row.job.id), next)
        assert.deepStrictEqual((yield* store.events(row.job.id)).at(-1), {
          jobId: row.job.id,
          seq: 2,
          kind: "claimed",
          from: "queued",
          to: "active",
          epoch: 1,
          attempt: 1,
          daemonId,
          nodeId: claim.nodeId,
          code: null,
          at: claim.at
        })
      })
    )

    it.effect("counts another attempt with its failures, when the owner claims again", () =>
      Effect.gen(function* () {
        const row = yield* admitted()
        const daemonId = yield* livingDaemon(freshTime())
        const first = yield* claimed(row, daemonId)
        const node = aNodeId()

        const second = yield* claimed(first, daemonId, { nodeId: node, failures: 2 })

        const expected = { owner: daemonId, epoch: 2, attempt: 2, failures: 2, crashes: 0, nodeId: node }
        assert.deepStrictEqual(second, { ...first, ...expected })
      })
    )

    it.effect("keeps the attempt and its node and counts a crash, when it is taken over without a node", () =>
      Effect.gen(function* () {
        const row = yield* admitted()
        const daemonId = yield* livingDaemon(freshTime())
        const first = yield* claimed(row, daemonId)

        const adopted = yield* claimed(first, daemonId, { nodeId: null, crashed: true })
        const again = yield* claimed(adopted, daemonId, { nodeId: null })

        assert.deepStrictEqual(adopted, { ...first, epoch: 2, crashes: 1 })
        assert.deepStrictEqual(again, { ...first, epoch: 3, crashes: 1 })
        const kinds = (yield* (yield* JobStore).events(row.job.id)).map(({ kind }) => kind)
        assert.deepStrictEqual(kinds, ["admitted", "claimed", "adopted", "adopted"])
      })
    )

    it.effect("refuses a job that is unknown or has ended", () =>
      Effect.gen(function* () {
        const store = yield* JobStore
        const row = yield* admitted()
        const daemonId = yield* livingDaemon(freshTime())
        const unknown = yield* store.claim(aClaim({ ...row, job: aJob() }, daemonId))
        assert.deepStrictEqual(unknown, { _tag: "Refused", why: "unknown", row: null })

        const ended = doneOf(yield* store.finish(aFinish(row)))
        assert.strictEqual(yield* refusedFor(ended, daemonId), "ended")
      })
    )

    it.effect("refuses whoever saw another epoch, older or newer, its own too", () =>
      Effect.gen(function* () {
        const row = yield* admitted()
        const daemonId = yield* livingDaemon(freshTime())
        assert.strictEqual(yield* refusedFor(row, daemonId, { epochSeen: 1 }), "epoch")
        const first = yield* claimed(row, daemonId)
        assert.strictEqual(yield* refusedFor(first, daemonId, { epochSeen: 0 }), "epoch")
        assert.strictEqual(yield* refusedFor(first, daemonId, { epochSeen: 2 }), "epoch")
        assert.strictEqual((yield* claimed(first, daemonId)).epoch, 2)
      })
    )

    it.effect("refuses a claimer that was declared dead or has left", () =>
      Effect.gen(function* () {
        const daemons = yield* Daemons
        const at = freshTime()
        const row = yield* admitted()
        const [dead, gone] = [yield* livingDaemon(at), yield* livingDaemon(at + MINUTE)]
        yield* bury(at)
        yield* daemons.leave(gone, at + MINUTE)

        assert.strictEqual(yield* refusedFor(row, dead), "dead")
        assert.strictEqual(yield* refusedFor(row, gone), "dead")
      })
    )

    it.effect.skipIf(soleOwner)("refuses a job that another living daemon owns", () =>
      Effect.gen(function* () {
        const at = freshTime()
        const [owner, other] = [yield* livingDaemon(at), yield* livingDaemon(at)]
        const first = yield* claimed(yield* admitted(), owner)

        assert.strictEqual(yield* refusedFor(first, other, { nodeId: null, crashed: true }), "owned")
        assert.strictEqual((yield* claimed(first, owner)).epoch, 2)
      })
    )

    it.effect.skipIf(soleOwner)("lets another daemon take a job over from the living owner that it names", () =>
      Effect.gen(function* () {
        const at = freshTime()
        const [owner, other, third] = [yield* livingDaemon(at), yield* livingDaemon(at), yield* livingDaemon(at)]
        const first = yield* claimed(yield* admitted(), owner)

        assert.strictEqual(yield* refusedFor(first, other, { nodeId: null, from: third }), "owned")
        const taken = yield* claimed(first, other, { nodeId: null, from: owner, crashed: true })
        assert.deepStrictEqual(taken, { ...first, owner: other, epoch: 2, crashes: 1 })
        assert.strictEqual(yield* refusedFor(first, third, { nodeId: null, from: owner }), "owned")
        assert.strictEqual(yield* refusedFor(first, owner, { nodeId: null, from: other }), "epoch")
      })
    )

    it.effect("lets another daemon take over, when the owner was declared dead", () =>
      Effect.gen(function* () {
        const at = freshTime()
        const [owner, row] = [yield* livingDaemon(at), yield* admitted()]
        const first = yield* claimed(row, owner)
        const heir = yield* livingDaemon(at + MINUTE)
        yield* bury(at, heir)

        assert.strictEqual(yield* refusedFor(first, owner), "dead")
        const taken = yield* claimed(first, heir, { nodeId: null, crashed: true })
        assert.deepStrictEqual(taken, { ...first, owner: heir, epoch: 2, crashes: 1 })
      })
    )

    it.effect("lets another daemon take over, when the owner has left", () =>
      Effect.gen(function* () {
        const at = freshTime()
        const [owner, row] = [yield* livingDaemon(at), yield* admitted()]
        const first = yield* claimed(row, owner)
        yield* (yield* Daemons).leave(owner, at)
        const heir = yield* livingDaemon(at)

        assert.deepStrictEqual((yield* claimed(first, heir, { nodeId: null })).owner, heir)
      })
    )

    it.effect("lets exactly one of fifty claims of one epoch through, when they come at once", () =>
      Effect.gen(function* () {
        const store = yield* JobStore
        const at = freshTime()
        const row = yield* admitted()
        const daemons = yield* Effect.forEach(Array.from({ length: 5 }), () => livingDaemon(at))
        const claims = Array.from({ length: 50 }, (_, n) => aClaim(row, daemons[n % daemons.length]!))

        const answers = yield* atOnce(claims.map(store.claim))

        assert.strictEqual(answers.filter(({ _tag }) => _tag === "Claimed").length, 1)
        assert.deepInclude(yield* store.get(row.job.id), { epoch: 1, attempt: 1 })
        assert.strictEqual((yield* store.events(row.job.id)).length, 2)
      })
    )

    it.effect("waits again without owner and is published when its delay is over, when it is handed back", () =>
      Effect.gen(function* () {
        const store = yield* JobStore
        const outbox = yield* Outbox
        const active = yield* claimed(yield* admitted(), yield* livingDaemon(freshTime()))
        const { job } = active
        yield* outbox.sent((yield* messagesOf(job.id)).map(({ id }) => id))
        const release = aRelease(active, { runAt: active.runAt + MINUTE, code: "node_lost" })

        const next = doneOf(yield* store.release(release))

        assert.deepStrictEqual(next, { ...active, state: "queued", owner: null, runAt: release.runAt })
        assert.deepStrictEqual(yield* store.get(job.id), next)
        const event = (yield* store.events(job.id)).at(-1)!
        assert.deepInclude(event, { seq: 3, kind: "released", from: "active", to: "queued", epoch: 1, attempt: 1 })
        assert.deepInclude(event, { daemonId: active.owner, code: "node_lost", at: release.at })
        const { envelope, at: createdAt } = release
        const target = { _tag: "Lane", lane: laneOf(job) } as const
        const promised = [{ id: envelope.id, target, envelope, createdAt }]
        assert.deepStrictEqual(yield* messagesOf(job.id), promised)
        const due = (before: number) =>
          Effect.map(outbox.pending(before, 1_000_000), (rows) => rows.some(({ id }) => id === envelope.id))
        assert.deepStrictEqual([yield* due(release.runAt - 1), yield* due(release.runAt + 1)], [false, true])
      })
    )

    it.effect("takes a hand-back that comes again for a repeat and does not publish again", () =>
      Effect.gen(function* () {
        const store = yield* JobStore
        const active = yield* claimed(yield* admitted(), yield* livingDaemon(freshTime()))
        const release = aRelease(active)
        const next = doneOf(yield* store.release(release))
        yield* (yield* Outbox).sent([release.envelope.id])

        const again = yield* changingNothing(active.job.id, active.job.namespaceId, store.release(release))

        assert.deepStrictEqual(again, { _tag: "Repeated", row: next })
      })
    )

    it.effect("is claimed with the next epoch after a hand-back, and a repeat of that hand-back is stale then", () =>
      Effect.gen(function* () {
        const store = yield* JobStore
        const active = yield* claimed(yield* admitted(), yield* livingDaemon(freshTime()))
        const release = aRelease(active)
        const waiting = doneOf(yield* store.release(release))

        const next = yield* claimed(waiting, active.owner!)

        assert.deepInclude(next, { epoch: 2, attempt: 2, owner: active.owner })
        assert.deepStrictEqual(yield* store.release(release), { _tag: "Stale", row: next })
      })
    )

    it.effect("is not handed back by the past, by others, by the dead, or when nobody has it", () =>
      Effect.gen(function* () {
        const store = yield* JobStore
        const at = freshTime()
        const row = yield* admitted()
        const { id, namespaceId } = row.job
        const owner = yield* livingDaemon(at)
        const stale = (over: Parameters<typeof aRelease>[1], base: JobRow) =>
          Effect.map(changingNothing(id, namespaceId, store.release(aRelease(base, over))), ({ _tag }) => _tag)

        assert.deepStrictEqual(yield* stale({ daemonId: owner }, row), "Stale", "nobody has it")
        const active = yield* claimed(yield* claimed(row, owner), owner)
        assert.deepStrictEqual(yield* stale({ epoch: 1 }, active), "Stale", "the past")
        assert.deepStrictEqual(yield* stale({ epoch: 3 }, active), "Stale", "the future")
        const other = yield* livingDaemon(at + MINUTE)
        assert.deepStrictEqual(yield* stale({ daemonId: other }, active), "Stale", "others")
        yield* bury(at, other)
        assert.deepStrictEqual(yield* stale({}, active), "Stale", "the dead")
        const unknown = yield* store.release(aRelease({ ...active, job: aJob() }))
        assert.deepStrictEqual(unknown, { _tag: "Stale", row: null })
        const ended = doneOf(yield* store.finish(aFinish(yield* claimed(active, other))))
        assert.deepStrictEqual(yield* stale({ daemonId: other }, ended), "Stale", "ended")
      })
    )
  })
