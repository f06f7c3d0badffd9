/** What stays in Redis and for how long: nothing for ever, nothing of a living node too short, and no call that takes the server for itself. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { it } from "vitest"
import { Leases } from "../../../src/layers/Leases.ts"
import { LiveNodes } from "../../../src/layers/LiveNodes.ts"
import { RateLimits } from "../../../src/layers/RateLimits.ts"
import { SCRIPTS } from "../../../src/layers/redis/Scripts.ts"
import { aLease, aModel, aNode, HOUR, inAnHour, MINUTE, serves } from "../contracts/LiveFactories.ts"
import { alive, RedisRig, withRedis } from "./RedisRig.ts"

withRedis("upkeep of Redis", () => {
  const rig = new RedisRig()
  const ttls = Effect.gen(function* () {
    const keys = yield* rig.keys
    return new Map(
      yield* Effect.promise(() => Promise.all(keys.map(async (key) => [key, await rig.raw.pttl(key)] as const)))
    )
  })
  /** As if nothing had touched them for almost as long as they are kept. */
  const age = Effect.flatMap(rig.keys, (keys) =>
    Effect.promise(() => Promise.all(keys.map((key) => rig.raw.pexpire(key, MINUTE))))
  )

  it("gives every key a time to live, also with the small times of a test", () =>
    alive(
      rig,
      Effect.gen(function* () {
        yield* rig.wipe
        const node = aNode(aModel(), { slots: 2 })
        const live = yield* LiveNodes
        const leases = yield* Leases
        yield* live.announce(node, 1000)
        yield* leases.take(aLease(node.nodeId, 900), 10)
        yield* live.refresh(node.nodeId, node.sessionId, { models: [serves("x")], seenAt: 20 }, 1000)
        yield* (yield* RateLimits).take({ name: "a", ratePerSecond: 1, burst: 1 }, 10)

        const found = yield* ttls
        assert.isAbove(found.size, 7)
        const [shortest] = [...found.values()].toSorted((a, b) => a - b)
        // A bucket's is the shortest: full again after a second, and a minute of margin.
        assert.isAbove(shortest ?? 0, 50_000)
      })
    ))

  it("keeps everything of a node whose heartbeats come, although nothing about it changes", () =>
    alive(
      rig,
      Effect.gen(function* () {
        yield* rig.wipe
        const live = yield* LiveNodes
        const now = yield* inAnHour
        const node = aNode(aModel(), { models: [serves("a"), serves("b")] })
        yield* live.announce(node, now + HOUR)
        yield* age
        yield* live.refresh(node.nodeId, node.sessionId, { seenAt: now }, now + HOUR)

        const found = yield* ttls
        assert.deepStrictEqual(
          [...found].filter(([, ttl]) => ttl <= MINUTE).map(([key]) => key),
          []
        )
        const lease = aLease(node.nodeId, now + HOUR)
        yield* (yield* Leases).take(lease, now)
        yield* age
        yield* (yield* Leases).renew(lease, now)
        const ofLeases = [...(yield* ttls)].filter(([key]) => key.includes(":lease"))
        assert.strictEqual(ofLeases.filter(([, ttl]) => ttl > MINUTE).length, 2)
      })
    ))

  it("leaves no key of nodes that are gone but the generation that was known", () =>
    alive(
      rig,
      Effect.gen(function* () {
        yield* rig.wipe
        const live = yield* LiveNodes
        const leases = yield* Leases
        const now = yield* inAnHour
        const [left, lost] = [aNode(aModel()), aNode(aModel(), { models: [serves("a"), serves("b")] })]
        for (const node of [left, lost]) {
          yield* live.announce(node, now + MINUTE)
          yield* leases.take(aLease(node.nodeId, now + MINUTE), now)
        }
        yield* live.withdraw(left.nodeId, left.sessionId)
        assert.deepStrictEqual(yield* live.list(now + MINUTE), [])

        assert.deepStrictEqual(
          (yield* rig.keys).toSorted(),
          [left, lost].map(({ nodeId }) => `${rig.tag}:generation:${nodeId}`).toSorted()
        )
      })
    ))

  it("keeps nothing of a lease that was released", () =>
    alive(
      rig,
      Effect.gen(function* () {
        yield* rig.wipe
        const leases = yield* Leases
        const now = yield* inAnHour
        const node = aNode(aModel())
        const lease = aLease(node.nodeId, now + HOUR)
        yield* (yield* LiveNodes).announce(node, now + HOUR)
        yield* leases.take(lease, now)
        yield* leases.release(node.nodeId, lease.token)
        assert.deepStrictEqual(
          (yield* rig.keys).filter((key) => key.includes(":lease")),
          []
        )
      })
    ))

  it("counts leases of one node that run out together", () =>
    alive(
      rig,
      Effect.gen(function* () {
        yield* rig.wipe
        const leases = yield* Leases
        const live = yield* LiveNodes
        const now = yield* inAnHour
        const node = aNode(aModel(), { slots: 5 })
        yield* live.announce(node, now + HOUR)
        for (const ms of [1, 2, 3, MINUTE]) yield* leases.take(aLease(node.nodeId, now + ms), now)
        assert.deepStrictEqual(
          (yield* live.models("testnet", now + 3)).map(({ slots, leased }) => [slots, leased]),
          [[5, 1]]
        )
        assert.strictEqual((yield* live.get(node.nodeId, now + 3))?.leased, 1)
      })
    ))

  it("gets over keys that were lost without the others", () =>
    alive(
      rig,
      Effect.gen(function* () {
        yield* rig.wipe
        const leases = yield* Leases
        const live = yield* LiveNodes
        const now = yield* inAnHour
        const nodes = [aNode("a"), aNode("a")]
        for (const node of nodes) yield* live.announce(node, now + MINUTE)
        yield* leases.take(aLease(nodes[0]!.nodeId, now + MINUTE), now)
        const lost = [`leases:${nodes[0]!.nodeId}`, `node:${nodes[1]!.nodeId}`].map((key) => `${rig.tag}:${key}`)
        yield* Effect.promise(() => rig.raw.del(...lost))

        const query = { environment: "testnet", model: "a", sampleMax: 4, except: new Set<never>() } as const
        assert.deepStrictEqual((yield* leases.candidates({ ...query, now })).nodes, [])
        assert.deepStrictEqual(yield* live.list(now + MINUTE), [])
        const left = yield* rig.keys
        assert.isFalse(left.some((key) => key.endsWith(":nodes") || key.endsWith(":leaseends")))
      })
    ))

  it("keeps a generation as it is, however large", () =>
    alive(
      rig,
      Effect.gen(function* () {
        const live = yield* LiveNodes
        const now = yield* inAnHour
        const node = aNode(aModel(), { generation: Number.MAX_SAFE_INTEGER })
        yield* live.announce(node, now + HOUR)
        yield* live.refresh(node.nodeId, node.sessionId, { seenAt: now }, now + HOUR)
        yield* live.withdraw(node.nodeId, node.sessionId)
        assert.isFalse(yield* live.announce({ ...node, generation: Number.MAX_SAFE_INTEGER - 1 }, now + HOUR))
        assert.isTrue(yield* live.announce(node, now + HOUR))
      })
    ))

  it("ends a fleet that is lost at once in several calls, and is right about what is left", () =>
    alive(
      rig,
      Effect.gen(function* () {
        yield* rig.wipe
        const live = yield* LiveNodes
        const leases = yield* Leases
        const now = yield* inAnHour
        const FLEET = 1500
        const model = aModel()
        yield* Effect.forEach(
          Array.from({ length: FLEET }),
          () => {
            const node = aNode(model)
            const lease = aLease(node.nodeId, now + MINUTE)
            return Effect.andThen(live.announce(node, now + MINUTE), leases.take(lease, now))
          },
          { concurrency: 100, discard: true }
        )
        const stays = aNode(model)
        yield* live.announce(stays, now + HOUR)
        assert.strictEqual((yield* live.models("testnet", now))[0]?.leased, FLEET)

        const query = {
          environment: "testnet",
          model,
          sampleMax: 4,
          except: new Set<never>(),
          now: now + MINUTE
        } as const
        const once = yield* Effect.promise(() => rig.raw.eval(SCRIPTS.ids, 1, rig.tag, now + MINUTE))
        assert.isNull(once, "too much for one call")
        const left = yield* Effect.promise(() => rig.raw.zcard(`${rig.tag}:leaseends`))
        assert.isAbove(left, FLEET / 3)
        assert.isBelow(left, FLEET)

        const { nodes, ...counts } = yield* leases.candidates(query)
        assert.deepStrictEqual(counts, { free: 1, serving: 1 })
        assert.strictEqual(nodes[0]?.nodeId, stays.nodeId)
        assert.strictEqual(yield* Effect.promise(() => rig.raw.zcard(`${rig.tag}:nodes`)), 1)
      })
    ))

  it("takes a slot of a node whatever else has run out and was not looked at", () =>
    alive(
      rig,
      Effect.gen(function* () {
        yield* rig.wipe
        const live = yield* LiveNodes
        const leases = yield* Leases
        const now = yield* inAnHour
        const [node, other] = [aNode(aModel()), aNode(aModel())]
        yield* live.announce(node, now + HOUR)
        yield* live.announce(other, now + MINUTE)
        yield* leases.take(aLease(node.nodeId, now + MINUTE), now)

        assert.isTrue(yield* leases.take(aLease(node.nodeId, now + HOUR), now + MINUTE))
        assert.isFalse(yield* leases.take(aLease(node.nodeId, now + HOUR), now + MINUTE))
        // The other one is still there: nobody asked about it.
        assert.strictEqual(yield* Effect.promise(() => rig.raw.zcard(`${rig.tag}:nodes`)), 2)
      })
    ))

  it("lists more nodes than one call looks at, each once and by id", () =>
    alive(
      rig,
      Effect.gen(function* () {
        yield* rig.wipe
        const live = yield* LiveNodes
        const now = yield* inAnHour
        const nodes = Array.from({ length: 450 }, () => aNode("m"))
        yield* Effect.forEach(nodes, (node) => live.announce(node, now + HOUR), { concurrency: 100, discard: true })
        assert.deepStrictEqual(
          (yield* live.list(now)).map(({ nodeId }) => nodeId),
          nodes.map(({ nodeId }) => nodeId).toSorted()
        )
      })
    ))
})
