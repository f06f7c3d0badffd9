/** Two daemons, each with connections of its own: what one client's order of commands would hide. */
import { assert } from "@effect/vitest"
import { Clock, Context, Effect, Fiber, type Scope } from "effect"
import { it } from "vitest"
import { Leases } from "../../../src/layers/Leases.ts"
import { LiveNodes } from "../../../src/layers/LiveNodes.ts"
import { RateLimits } from "../../../src/layers/RateLimits.ts"
import { Relay } from "../../../src/layers/Relay.ts"
import { JobId } from "../../../src/schemas/Ids.ts"
import { pieces } from "../../support/recordFactories.ts"
import { aDaemon, aLease, aModel, aNode, aSession, HOUR, inAnHour, MINUTE } from "../contracts/LiveFactories.ts"
import { RedisRig, withRedis } from "./RedisRig.ts"

const ROUNDS = 200

withRedis("two clients of one Redis", () => {
  const rig = new RedisRig()
  const two = Effect.map(Effect.all([rig.client(), rig.client()]), (clients) =>
    clients.map((client) => ({
      nodes: Context.get(client, LiveNodes),
      leases: Context.get(client, Leases),
      limits: Context.get(client, RateLimits),
      relay: Context.get(client, Relay)
    }))
  )
  const run = <A, E>(body: Effect.Effect<A, E, Scope.Scope>) => Effect.runPromise(Effect.scoped(body))

  it("give the last slot to exactly one of those who take it at once", () =>
    run(
      Effect.gen(function* () {
        const [one, other] = yield* two
        const now = yield* inAnHour
        let byOther = 0
        for (let round = 0; round < ROUNDS; round++) {
          const { nodeId } = yield* Effect.tap(Effect.succeed(aNode(aModel())), (node) =>
            one!.nodes.announce(node, now + HOUR)
          )
          const order = round % 2 === 0 ? [one!, other!] : [other!, one!]
          const taken = yield* Effect.forEach(order, ({ leases }) => leases.take(aLease(nodeId, now + MINUTE), now), {
            concurrency: 2
          })
          assert.strictEqual(taken.filter(Boolean).length, 1)
          if (taken[order.indexOf(other!)]) byOther += 1
        }
        // Had one of them always been first, nothing would have been tried.
        assert.isAbove(byOther, 0)
        assert.isBelow(byOther, ROUNDS)
      })
    ))

  it("give as many of a bucket's tokens as it has, whoever asks", () =>
    run(
      Effect.gen(function* () {
        const clients = yield* two
        const now = yield* inAnHour
        const bucket = { name: aModel(), ratePerSecond: 1, burst: 11 }
        const verdicts = yield* Effect.all(
          Array.from({ length: 40 }, (_, n) => clients[n % 2]!.limits.take(bucket, now)),
          { concurrency: 40 }
        )
        assert.strictEqual(verdicts.filter(({ allowed }) => allowed).length, 11)
      })
    ))

  it("wake each other by a release, and by a lease that runs out although its daemon is gone", () =>
    run(
      Effect.gen(function* () {
        const [one] = yield* two
        const model = aModel()
        const node = aNode(model)
        const now = yield* Clock.currentTimeMillis
        const capacity = yield* one!.leases.capacity
        const woken = Effect.gen(function* () {
          while (!(yield* capacity.take).has(model));
        })
        yield* one!.nodes.announce(node, now + HOUR)
        yield* woken

        yield* Effect.scoped(
          Effect.gen(function* () {
            const leases = Context.get(yield* rig.client(), Leases)
            const first = aLease(node.nodeId, now + HOUR)
            assert.isTrue(yield* leases.take(first, now))
            const waiting = yield* Effect.forkChild(woken, { startImmediately: true })
            yield* leases.release(node.nodeId, first.token)
            yield* Fiber.join(waiting)
            assert.isTrue(yield* leases.take(aLease(node.nodeId, now + 300), now))
          })
        )
        yield* woken
      })
    ))

  it("are right again one announcement after the server was flushed, and whoever waits hears of it", () =>
    run(
      Effect.gen(function* () {
        const [one, other] = yield* two
        const now = yield* inAnHour
        const model = aModel()
        const node = aNode(model, { slots: 2 })
        yield* one!.nodes.announce(node, now + HOUR)
        const lease = aLease(node.nodeId, now + HOUR)
        yield* other!.leases.take(lease, now)
        const capacity = yield* other!.leases.capacity

        yield* rig.wipe
        assert.isFalse(yield* one!.nodes.refresh(node.nodeId, node.sessionId, { seenAt: now }, now + HOUR))
        assert.isFalse(yield* other!.leases.renew(lease, now))
        yield* other!.leases.release(node.nodeId, lease.token)
        assert.isTrue(yield* one!.nodes.announce(node, now + HOUR))

        while (!(yield* capacity.take).has(model));
        const query = { environment: "testnet", model, sampleMax: 4, except: new Set<never>(), now } as const
        const { nodes, free, serving } = yield* other!.leases.candidates(query)
        assert.deepStrictEqual([nodes.length, nodes[0]?.leased, free, serving], [1, 0, 1, 1])
        assert.deepStrictEqual(
          (yield* other!.nodes.models("testnet", now)).map(({ name, slots, leased }) => [name, slots, leased]),
          [[model, 2, 0]]
        )
      })
    ))

  it("are right after the server forgot the scripts", () =>
    run(
      Effect.gen(function* () {
        const [one] = yield* two
        const now = yield* inAnHour
        const node = aNode(aModel())
        yield* one!.nodes.announce(node, now + HOUR)
        yield* Effect.promise(() => rig.raw.script("FLUSH"))
        const views = yield* Effect.all(
          Array.from({ length: 20 }, () => one!.nodes.get(node.nodeId, now)),
          { concurrency: 20 }
        )
        assert.strictEqual(views.filter((view) => view?.sessionId === node.sessionId).length, 20)
      })
    ))

  it("agree on the later of two sessions, whichever daemon announces the earlier one again", () =>
    run(
      Effect.gen(function* () {
        const [one, other] = yield* two
        const now = yield* inAnHour
        const early = aNode(aModel(), { generation: 7 })
        const late = { ...early, generation: 8, sessionId: aSession() }
        assert.isTrue(yield* one!.nodes.announce(early, now + MINUTE))
        assert.isTrue(yield* other!.nodes.announce(late, now + MINUTE))
        assert.isFalse(yield* one!.nodes.announce(early, now + MINUTE))
        yield* other!.nodes.withdraw(late.nodeId, late.sessionId)
        assert.isFalse(yield* one!.nodes.announce(early, now + MINUTE), "the later one left")
        assert.isTrue(yield* other!.nodes.announce(late, now + MINUTE))
        assert.isNull(yield* one!.nodes.get(late.nodeId, now + MINUTE))
        assert.isFalse(yield* one!.nodes.announce(early, now + HOUR), "the later one ran out")
      })
    ))

  it("bring each other pieces in order, past what nobody can read", () =>
    run(
      Effect.gen(function* () {
        const [one, other] = yield* two
        const to = aDaemon()
        const receiver = yield* other!.relay.receive(to)
        const batch = (epoch: number) => ({ jobId: JobId.make("job_a"), epoch, events: pieces(epoch, epoch + 1) })
        const nonsense = ["", "{", "null", "{}", "[1,2,3]", '["job_a",1,[null]]', '["job_a",1.5,[]]', '["job_a",1,{}]']
        yield* one!.relay.send(to, batch(1))
        for (const text of nonsense) {
          yield* Effect.promise(() => rig.raw.publish(`${rig.tag}:relay:${to}`, text))
        }
        for (let epoch = 2; epoch <= 300; epoch++) yield* one!.relay.send(to, batch(epoch))
        const taken: Array<number> = []
        while (taken.length < 300) for (const { epoch } of yield* receiver.take) taken.push(epoch)
        assert.deepStrictEqual(
          taken,
          Array.from({ length: 300 }, (_, n) => n + 1)
        )
      })
    ))
})
