/** A server that is away, late, silent or does not understand: what each means to who calls, waits or listens. */
import { assert } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Redacted } from "effect"
import { type AddressInfo, connect, createServer } from "node:net"
import { once } from "node:events"
import { inspect } from "node:util"
import { describe, it } from "vitest"
import { makeSubscriber, NAMES_MAX, onNews, takeFrom } from "../../../src/layers/redis/Capacity.ts"
import { failureOf } from "../../../src/layers/redis/RedisErrors.ts"
import * as RedisLive from "../../../src/layers/redis/RedisLive.ts"
import { Leases } from "../../../src/layers/Leases.ts"
import { LiveNodes } from "../../../src/layers/LiveNodes.ts"
import { RateLimits } from "../../../src/layers/RateLimits.ts"
import { Relay } from "../../../src/layers/Relay.ts"
import { JobId } from "../../../src/schemas/Ids.ts"
import { pieces } from "../../support/recordFactories.ts"
import { aDaemon, aLease, aModel, aNode, HOUR, inAnHour } from "../contracts/LiveFactories.ts"
import { alive, REDIS_URL, RedisRig, withRedis } from "./RedisRig.ts"

const secret = "what the model said"

describe("an answer of Redis", () => {
  it("that it cannot serve now is an Outage, and one that it did not understand is a defect", async () => {
    const meaning = (message: string) => {
      const command = { name: "publish", args: ["channel", secret] }
      const cause = Object.assign(new Error(message), { name: "ReplyError", command })
      return Effect.runPromiseExit(failureOf("Leases", "take", cause))
    }
    for (const message of [
      "OOM command not allowed",
      "LOADING Redis is loading",
      "ERR max number of clients reached"
    ]) {
      const exit = await meaning(message)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasFails(exit.cause), message)
      assert.notInclude(inspect(exit, { depth: null, showHidden: true }), secret)
    }
    for (const message of ["WRONGTYPE Operation against", "ERR wrong number of arguments"]) {
      const exit = await meaning(message)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause), message)
    }
  })
})

describe("wake-ups that nobody takes", () => {
  it("are merged, and end as an Outage when there are too many", async () => {
    const subscriber = makeSubscriber()
    for (let n = 0; n < 3; n++) onNews(subscriber, JSON.stringify(["a", "b"]))
    for (const nonsense of ["", "{", "{}", '"a"', "[1]", '["\\""]']) onNews(subscriber, nonsense)
    assert.deepStrictEqual(await Effect.runPromise(takeFrom(subscriber)), new Set(["a", "b"]))

    const waiting = Effect.runPromiseExit(takeFrom(subscriber))
    onNews(subscriber, JSON.stringify(Array.from({ length: NAMES_MAX + 1 }, (_, n) => `name-${n}`)))
    assert.isTrue(Exit.isFailure(await waiting))
    assert.strictEqual(subscriber.names.size, 0)
    assert.strictEqual((await Effect.runPromise(Effect.flip(takeFrom(subscriber))))._tag, "Outage")
  })
})

withRedis("a Redis that fails", () => {
  const rig = new RedisRig()
  const hang = Effect.promise(() => rig.proxy.hang())
  const cut = Effect.promise(() => rig.proxy.cut())
  const pass = Effect.promise(() => rig.proxy.pass())

  it("by silence is an Outage to who calls, waits for slots or listens, and is there again after", () =>
    alive(
      rig,
      Effect.gen(function* () {
        const [live, leases, relay] = [yield* LiveNodes, yield* Leases, yield* Relay]
        const now = yield* inAnHour
        const node = aNode(aModel())
        yield* live.announce(node, now + HOUR)
        const capacity = yield* leases.capacity
        const receiver = yield* relay.receive(aDaemon())
        const waiting = yield* Effect.forkChild(
          Effect.all([Effect.flip(Effect.forever(capacity.take)), Effect.flip(receiver.take)], { concurrency: 2 }),
          { startImmediately: true }
        )
        yield* hang
        const batch = { jobId: JobId.make("job_a"), epoch: 1, events: pieces(1, 1) }
        const failures = yield* Effect.all(
          [
            Effect.flip(live.get(node.nodeId, now)),
            Effect.flip(leases.take(aLease(node.nodeId, now + HOUR), now)),
            Effect.flip((yield* RateLimits).take({ name: "a", ratePerSecond: 1, burst: 1 }, now)),
            Effect.flip(relay.send(aDaemon(), batch)),
            Effect.flip(leases.capacity)
          ],
          { concurrency: 5 }
        )
        const told = [...failures, ...(yield* Fiber.join(waiting))]
        assert.deepStrictEqual([...new Set(told.map(({ _tag }) => _tag))], ["Outage"])
        yield* pass

        assert.isNotNull(yield* Effect.eventually(live.get(node.nodeId, now)))
        const again = yield* Effect.eventually(relay.receive(aDaemon()))
        assert.isDefined(again)
      }).pipe(Effect.ensuring(pass))
    ))

  it("by going away fails at once, and every one of many calls", () =>
    alive(
      rig,
      Effect.gen(function* () {
        const live = yield* LiveNodes
        yield* cut
        const exits = yield* Effect.forEach(Array.from({ length: 500 }), () => Effect.flip(live.models("testnet", 0)), {
          concurrency: 500
        })
        assert.deepStrictEqual([...new Set(exits.map(({ of, during }) => `${of}.${during}`))], ["LiveNodes.models"])
        yield* pass
        yield* Effect.eventually(live.models("testnet", 0))
      }).pipe(Effect.ensuring(pass))
    ))

  it("of our own making is a defect, and neither it nor an Outage tells what was sent", () =>
    alive(
      rig,
      Effect.gen(function* () {
        const live = yield* LiveNodes
        const now = yield* inAnHour
        const node = aNode(aModel(), { digest: secret })
        yield* Effect.promise(() => rig.raw.set(`${rig.tag}:node:${node.nodeId}`, "no hash"))
        const exit = yield* Effect.exit(live.announce(node, now + HOUR))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
        assert.notInclude(inspect(exit, { depth: null, showHidden: true }), secret)

        yield* hang
        const outage = yield* Effect.flip(live.announce(aNode(aModel(), { digest: secret }), now + HOUR))
        const relayed = { jobId: JobId.make("job_a"), epoch: 1, events: [{ ...pieces(1, 1)[0]!, text: secret }] }
        const unsent = yield* Effect.flip((yield* Relay).send(aDaemon(), relayed))
        for (const { cause } of [outage, unsent]) {
          assert.notInclude(inspect(cause, { depth: null, showHidden: true }), secret)
        }
      }).pipe(Effect.ensuring(pass), Effect.ensuring(rig.wipe))
    ))

  it("for a server to be there, a daemon that starts waits for a while, and not for ever", async () => {
    const { hostname, port } = new URL(REDIS_URL)
    let refused = 0
    let refusals = Infinity
    const door = createServer((socket) => {
      if (++refused <= refusals) return void socket.destroy()
      const upstream = connect({ host: hostname, port: Number(port === "" ? 6379 : port) })
      socket.on("error", () => upstream.destroy())
      upstream.on("error", () => socket.destroy())
      socket.pipe(upstream).pipe(socket)
    }).listen(0, "127.0.0.1")
    await once(door, "listening")
    const url = new URL(REDIS_URL)
    url.hostname = "127.0.0.1"
    url.port = String((door.address() as AddressInfo).port)
    const start = (startMs: number) => {
      const layer = RedisLive.layer({ url: Redacted.make(url.href), prefix: rig.prefix, startMs })
      return Effect.scoped(
        Effect.provide(
          Effect.flatMap(LiveNodes, (nodes) => nodes.models("testnet", 0)),
          layer
        )
      )
    }
    const failure = await Effect.runPromise(Effect.flip(start(300)))
    assert.deepStrictEqual([failure._tag, failure.during], ["Outage", "connect"])

    refusals = refused + 3
    assert.deepStrictEqual(await Effect.runPromise(start(20_000)), [])
    door.close()
  })
})
