/**
 * What every Leases must do, whatever it is made of. The layer also gives the LiveNodes over the same memory: a slot belongs to
 * an announced node. What is told without being asked (wake-ups) is waited for, never timed.
 */
import { assert, layer } from "@effect/vitest"
import { Clock, Effect, Fiber, type Layer } from "effect"
import { type CandidateQuery, Leases } from "../../../src/layers/Leases.ts"
import { LiveNodes } from "../../../src/layers/LiveNodes.ts"
import type { Outage } from "../../../src/layers/Outage.ts"
import { aLease, aModel, aNode, aNodeId, aSession, announced, aToken, HOUR, inAnHour, MINUTE } from "./LiveFactories.ts"
import type { LiveFaults } from "./LiveNodes.contract.ts"
import { leaseLaws } from "./LeaseLaws.ts"

const query = (model: string, now: number, over: Partial<CandidateQuery> = {}): CandidateQuery => ({
  environment: "testnet",
  model,
  sampleMax: 16,
  except: new Set(),
  now,
  ...over
})

const idsOf = (nodes: ReadonlyArray<{ readonly nodeId: string }>) => nodes.map(({ nodeId }) => nodeId).toSorted()

/** Takes wake-ups until one names the model. */
const wokenFor = (capacity: { readonly take: Effect.Effect<ReadonlySet<string>, Outage> }, model: string) =>
  Effect.gen(function* () {
    while (!(yield* capacity.take).has(model));
  })

export const leasesContract = <R = never>(
  backEnd: string,
  over: Layer.Layer<LiveNodes | Leases | R, Outage>,
  faults: LiveFaults<R> = {}
) => {
  leaseLaws(backEnd, over)
  layer(over, { excludeTestServices: true })(`Leases on ${backEnd}`, (it) => {
    it.effect("gives one slot to exactly one of a hundred who take it at once", () =>
      Effect.gen(function* () {
        const leases = yield* Leases
        const now = yield* inAnHour
        const { nodeId } = yield* announced(aNode(aModel()), now + HOUR)

        const granted = yield* Effect.all(
          Array.from({ length: 100 }, () => leases.take(aLease(nodeId, now + MINUTE), now)),
          { concurrency: 100 }
        )

        assert.strictEqual(granted.filter(Boolean).length, 1)
      })
    )

    it.effect("gives as many leases as there are slots, and no slot of a node that is not there", () =>
      Effect.gen(function* () {
        const leases = yield* Leases
        const now = yield* inAnHour
        const { nodeId } = yield* announced(aNode(aModel(), { slots: 2 }), now + MINUTE)
        const take = (id = nodeId, at = now) => leases.take(aLease(id, now + HOUR), at)

        assert.deepStrictEqual([yield* take(), yield* take(), yield* take()], [true, true, false])
        assert.isFalse(yield* take(aNodeId()), "unknown")
        const { nodeId: expiring } = yield* announced(aNode(aModel()), now + MINUTE)
        assert.isFalse(yield* take(expiring, now + MINUTE), "expired")
      })
    )

    it.effect("frees the slot of a lease that ran out", () =>
      Effect.gen(function* () {
        const leases = yield* Leases
        const now = yield* inAnHour
        const { nodeId } = yield* announced(aNode(aModel()), now + HOUR)
        yield* leases.take(aLease(nodeId, now + MINUTE), now)

        assert.isFalse(yield* leases.take(aLease(nodeId, now + HOUR), now + MINUTE - 1))
        assert.isTrue(yield* leases.take(aLease(nodeId, now + HOUR), now + MINUTE))
      })
    )

    it.effect("moves the end of a lease that is renewed, and renews none that ran out or never was", () =>
      Effect.gen(function* () {
        const leases = yield* Leases
        const now = yield* inAnHour
        const { nodeId } = yield* announced(aNode(aModel()), now + HOUR)
        const lease = aLease(nodeId, now + MINUTE)
        yield* leases.take(lease, now)

        assert.isTrue(yield* leases.renew({ ...lease, expiresAt: now + 3 * MINUTE }, now + MINUTE - 1))
        assert.isFalse(yield* leases.take(aLease(nodeId, now + HOUR), now + 2 * MINUTE))
        assert.isFalse(yield* leases.renew({ ...lease, expiresAt: now + HOUR }, now + 3 * MINUTE), "ran out")
        assert.isFalse(yield* leases.renew(aLease(nodeId, now + HOUR), now + 3 * MINUTE), "never was")
      })
    )

    it.effect("grants the same token twice and counts it once", () =>
      Effect.gen(function* () {
        const leases = yield* Leases
        const now = yield* inAnHour
        const { nodeId } = yield* announced(aNode(aModel()), now + HOUR)
        const lease = aLease(nodeId, now + MINUTE)

        assert.deepStrictEqual([yield* leases.take(lease, now), yield* leases.take(lease, now)], [true, true])
        assert.strictEqual((yield* (yield* LiveNodes).get(nodeId, now))?.leased, 1)
        yield* leases.release(nodeId, lease.token)
        assert.strictEqual((yield* (yield* LiveNodes).get(nodeId, now))?.leased, 0)
      })
    )

    it.effect("frees nothing when an unknown or an already released token is released", () =>
      Effect.gen(function* () {
        const leases = yield* Leases
        const now = yield* inAnHour
        const { nodeId } = yield* announced(aNode(aModel()), now + HOUR)
        const first = aLease(nodeId, now + MINUTE)
        yield* leases.take(first, now)
        yield* leases.release(nodeId, first.token)
        yield* leases.take(aLease(nodeId, now + MINUTE), now)

        yield* leases.release(nodeId, first.token)
        yield* leases.release(nodeId, aToken())
        yield* leases.release(aNodeId(), aToken())

        assert.isFalse(yield* leases.take(aLease(nodeId, now + MINUTE), now))
      })
    )

    it.effect("renews and releases a lease while its node is away", () =>
      Effect.gen(function* () {
        const leases = yield* Leases
        const nodes = yield* LiveNodes
        const now = yield* inAnHour
        const node = yield* announced(aNode(aModel()), now + HOUR)
        const lease = aLease(node.nodeId, now + MINUTE)
        yield* leases.take(lease, now)
        yield* nodes.withdraw(node.nodeId, node.sessionId)

        assert.isTrue(yield* leases.renew({ ...lease, expiresAt: now + HOUR }, now))
        yield* leases.release(node.nodeId, lease.token)
        yield* nodes.announce(node, now + HOUR)
        assert.strictEqual((yield* nodes.get(node.nodeId, now))?.leased, 0)
      })
    )

    it.effect("offers the nodes with a free slot that serve the model, and counts all that serve it", () =>
      Effect.gen(function* () {
        const leases = yield* Leases
        const now = yield* inAnHour
        const model = aModel()
        const busy = yield* announced(aNode(model), now + HOUR)
        const half = yield* announced(aNode(model, { slots: 2 }), now + HOUR)
        const free = yield* announced(aNode(model), now + HOUR)
        yield* announced(aNode(model, { environment: "mainnet" }), now + HOUR)
        yield* announced(aNode(aModel()), now + HOUR)
        yield* leases.take(aLease(busy.nodeId, now + MINUTE), now)
        yield* leases.take(aLease(half.nodeId, now + MINUTE), now)

        const offered = yield* leases.candidates(query(model, now))

        assert.deepStrictEqual(idsOf(offered.nodes), idsOf([half, free]))
        assert.strictEqual(offered.nodes.find(({ nodeId }) => nodeId === half.nodeId)?.leased, 1)
        assert.deepStrictEqual([offered.free, offered.serving], [2, 3])
        const later = yield* leases.candidates(query(model, now + MINUTE))
        assert.deepStrictEqual(idsOf(later.nodes), idsOf([busy, half, free]))
      })
    )

    it.effect("offers no more than the sample, none of the excepted, and all when the sample is larger", () =>
      Effect.gen(function* () {
        const leases = yield* Leases
        const now = yield* inAnHour
        const model = aModel()
        const nodes = yield* Effect.forEach(Array.from({ length: 6 }), () => announced(aNode(model), now + HOUR))
        const [tried, ...others] = nodes
        const except = new Set([tried!.nodeId])

        assert.strictEqual((yield* leases.candidates(query(model, now, { sampleMax: 4 }))).nodes.length, 4)
        const five = yield* leases.candidates(query(model, now, { sampleMax: 5, except }))
        assert.deepStrictEqual(idsOf(five.nodes), idsOf(others))
        assert.deepStrictEqual(
          idsOf((yield* leases.candidates(query(model, now, { sampleMax: 6 }))).nodes),
          idsOf(nodes)
        )
        const none = yield* leases.candidates(query(aModel(), now))
        assert.deepStrictEqual(none, { nodes: [], free: 0, serving: 0 })
      })
    )

    it.effect("draws every free node sooner or later", () =>
      Effect.gen(function* () {
        const leases = yield* Leases
        const now = yield* inAnHour
        const model = aModel()
        const nodes = yield* Effect.forEach(Array.from({ length: 5 }), () => announced(aNode(model), now + HOUR))
        const drawn = new Set<string>()
        for (let i = 0; i < 200; i++) {
          for (const { nodeId } of (yield* leases.candidates(query(model, now, { sampleMax: 1 }))).nodes)
            drawn.add(nodeId)
        }
        assert.deepStrictEqual([...drawn].toSorted(), idsOf(nodes))
      })
    )

    it.effect("does not let nodes that cannot work crowd out the one that can", () =>
      Effect.gen(function* () {
        const leases = yield* Leases
        const now = yield* inAnHour
        const model = aModel()
        for (let i = 0; i < 10; i++) yield* announced(aNode(model, { restrictions: ["paused"] }), now + HOUR)
        for (let i = 0; i < 10; i++) yield* announced(aNode(model, { healthy: false }), now + HOUR)
        for (let i = 0; i < 10; i++) yield* announced(aNode(model, { lifecycle: "draining" }), now + HOUR)
        for (let i = 0; i < 10; i++) yield* announced(aNode(model), now + MINUTE)
        const able = yield* announced(aNode(model), now + HOUR)

        const offered = yield* leases.candidates(query(model, now + MINUTE, { sampleMax: 2 }))

        assert.include(idsOf(offered.nodes), able.nodeId)
        assert.strictEqual(offered.serving, 31)
      })
    )

    it.effect("wakes everybody who waits for capacity: by an announcement, a release, a lifted restriction", () =>
      Effect.gen(function* () {
        const leases = yield* Leases
        const nodes = yield* LiveNodes
        const now = yield* inAnHour
        const model = aModel()
        const both = [yield* leases.capacity, yield* leases.capacity]
        const woken = (change: Effect.Effect<unknown, Outage>) =>
          Effect.gen(function* () {
            const waiting = yield* Effect.forkChild(
              Effect.forEach(both, (capacity) => wokenFor(capacity, model), { concurrency: 2 }),
              { startImmediately: true }
            )
            yield* change
            yield* Fiber.join(waiting)
          })
        const node = aNode(model)
        const lease = aLease(node.nodeId, now + HOUR)
        const refresh = (change: { readonly restrictions: [] | ["paused"] }) =>
          nodes.refresh(node.nodeId, node.sessionId, { ...change, seenAt: now }, now + HOUR)

        yield* woken(nodes.announce(node, now + HOUR))
        yield* leases.take(lease, now)
        yield* woken(leases.release(node.nodeId, lease.token))
        yield* leases.take(lease, now)
        yield* woken(leases.releaseUnchanged(node.nodeId, node.sessionId, [lease]))
        yield* refresh({ restrictions: ["paused"] })
        yield* woken(refresh({ restrictions: [] }))
        yield* woken(nodes.announce({ ...node, sessionId: aSession() }, now + HOUR))
      })
    )

    it.effect("wakes when a lease runs out, without being asked", () =>
      Effect.gen(function* () {
        const leases = yield* Leases
        const now = yield* Clock.currentTimeMillis
        const model = aModel()
        const capacity = yield* leases.capacity
        const { nodeId } = yield* announced(aNode(model), now + HOUR)
        yield* wokenFor(capacity, model)

        assert.isTrue(yield* leases.take(aLease(nodeId, now + 100), now))
        yield* wokenFor(capacity, model)

        assert.isTrue(yield* leases.take(aLease(nodeId, now + HOUR), yield* Clock.currentTimeMillis))
      })
    )

    it.effect("keeps wake-ups that nobody took, for every model of the node", () =>
      Effect.gen(function* () {
        const leases = yield* Leases
        const now = yield* inAnHour
        const [a, b] = [aModel(), aModel()]
        const capacity = yield* leases.capacity
        yield* announced(aNode(a), now + HOUR)
        yield* announced(aNode(b), now + HOUR)
        const seen = new Set<string>()
        while (!(seen.has(a) && seen.has(b))) for (const model of yield* capacity.take) seen.add(model)
      })
    )

    it.effect.skipIf(faults.outage === undefined)(
      "fails with an Outage while it is out, also whoever waits for capacity",
      () =>
        Effect.gen(function* () {
          const leases = yield* Leases
          const now = yield* inAnHour
          const model = aModel()
          const { nodeId } = yield* announced(aNode(model), now + HOUR)
          const lease = aLease(nodeId, now + HOUR)
          const capacity = yield* leases.capacity
          const waiting = yield* Effect.forkChild(Effect.flip(Effect.forever(capacity.take)), {
            startImmediately: true
          })
          yield* faults.outage!(true)
          const failures = yield* Effect.all(
            [
              Fiber.join(waiting),
              Effect.flip(leases.candidates(query(model, now))),
              Effect.flip(leases.take(lease, now)),
              Effect.flip(leases.renew(lease, now)),
              Effect.flip(leases.release(nodeId, lease.token)),
              Effect.flip(leases.strangers({ nodeId, sessionId: aSession(), known: new Set(), max: 1, now })),
              Effect.flip(leases.releaseUnchanged(nodeId, aSession(), [])),
              Effect.flip(leases.capacity)
            ],
            { concurrency: 1 }
          ).pipe(Effect.ensuring(faults.outage!(false)))

          assert.deepStrictEqual([...new Set(failures.map(({ _tag }) => _tag))], ["Outage"])
          assert.isTrue(yield* leases.take(lease, now))
        })
    )

    it.effect.skipIf(faults.wipe === undefined)("has no lease and no candidate when it was wiped", () =>
      Effect.gen(function* () {
        const leases = yield* Leases
        const now = yield* inAnHour
        const model = aModel()
        const node = yield* announced(aNode(model), now + HOUR)
        const lease = aLease(node.nodeId, now + HOUR)
        yield* leases.take(lease, now)

        yield* faults.wipe!

        assert.isFalse(yield* leases.renew(lease, now))
        assert.isFalse(yield* leases.take(lease, now))
        assert.strictEqual((yield* leases.candidates(query(model, now))).serving, 0)
        yield* announced(node, now + HOUR)
        assert.isTrue(yield* leases.take(aLease(node.nodeId, now + HOUR), now))
      })
    )
  })
}
