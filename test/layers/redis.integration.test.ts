/** What is live, over a real Redis, in a namespace of keys of its own. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { Redis } from "ioredis"
import { afterAll } from "vitest"
import { Leases } from "../../src/layers/Leases.ts"
import { LiveNodes } from "../../src/layers/LiveNodes.ts"
import type { Outage } from "../../src/layers/Outage.ts"
import { RateLimits } from "../../src/layers/RateLimits.ts"
import { Relay } from "../../src/layers/Relay.ts"
import * as RedisLive from "../../src/layers/redis/RedisLive.ts"
import { TcpProxy } from "../support/TcpProxy.ts"
import { leasesContract } from "./contracts/Leases.contract.ts"
import { liveNodesContract } from "./contracts/LiveNodes.contract.ts"
import { rateLimitsContract } from "./contracts/RateLimits.contract.ts"
import { relayContract } from "./contracts/Relay.contract.ts"
import { aLease, aModel, aNode, HOUR, inAnHour, MINUTE } from "./contracts/LiveFactories.ts"

const url = process.env["REDIS_URL"] ?? ""
const prefix = `suite-${process.pid}-${Date.now().toString(36)}`

const keys = () => new Redis(url, { lazyConnect: false })

/** Everything under the prefix is gone; other suites use the same server. */
const wipe = Effect.promise(async () => {
  const redis = keys()
  const ours = await redis.keys(`{${prefix}}*`)
  if (ours.length > 0) await redis.del(...ours)
  await redis.quit()
})

const targetOf = () => {
  const { hostname, port } = new URL(url)
  return { host: hostname, port: Number(port === "" ? 6379 : port) }
}

describe.skipIf(url === "")(url === "" ? "Redis (skipped: set REDIS_URL)" : "Redis", async () => {
  if (url === "") return it.skip("is not configured", () => undefined)
  const proxy = await TcpProxy.start(targetOf())
  afterAll(async () => {
    await proxy.stop()
    await Effect.runPromise(wipe)
  })
  const through = new URL(url)
  through.hostname = "127.0.0.1"
  through.port = String(proxy.port)
  const options = { url: Redacted.make(through.href), prefix, commandMs: 500 }
  const layer: Layer.Layer<LiveNodes | Leases | RateLimits | Relay, Outage> = RedisLive.layer(options)
  /** Back is when the suite's own client says so. */
  const isBack = Effect.flatMap(LiveNodes, (nodes) => Effect.eventually(nodes.models("testnet", 0)))
  const outage = (on: boolean): Effect.Effect<void, never, LiveNodes> =>
    on
      ? Effect.promise(() => proxy.cut())
      : Effect.andThen(
          Effect.promise(() => proxy.pass()),
          Effect.asVoid(isBack)
        )
  const faults = { outage, wipe }

  liveNodesContract<LiveNodes | Relay | RateLimits>("Redis", layer, faults)
  leasesContract<LiveNodes | Relay | RateLimits>("Redis", layer, faults)
  rateLimitsContract<LiveNodes | Leases | Relay>("Redis", layer, faults)
  relayContract<LiveNodes | Leases | RateLimits>("Redis", layer, faults)

  describe("over two clients", () => {
    const over = <A, E>(body: Effect.Effect<A, E, Leases | LiveNodes>) =>
      Effect.gen(function* () {
        const other = yield* Layer.build(Layer.fresh(RedisLive.layer(options)))
        return yield* Effect.provide(body, other)
      })

    it.live("gives the last slot to exactly one of those who take it at once", () =>
      Effect.gen(function* () {
        const now = yield* inAnHour
        for (let round = 0; round < 50; round++) {
          const node = aNode(aModel())
          yield* (yield* LiveNodes).announce(node, now + HOUR)
          const take = Effect.flatMap(Leases, (leases) => leases.take(aLease(node.nodeId, now + MINUTE), now))
          const taken = yield* Effect.all([take, over(take), take, over(take)], { concurrency: 4 })
          assert.strictEqual(taken.filter(Boolean).length, 1)
        }
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
  })

  it.live("takes names of models for what they are, whatever they hold", () =>
    Effect.gen(function* () {
      const now = yield* inAnHour
      const live = yield* LiveNodes
      const names = ["a:b", "a", "b", "{x}", "line\r\nend", "nul\u0000", "ü 漢 🦉", "*", "testnet:a", ""]
        .filter((name) => name !== "")
        .map((name) => `${name} ${aModel()}`)
      for (const name of names) yield* live.announce(aNode(name), now + MINUTE)
      const listed = (yield* live.models("testnet", now)).map((model) => model.name)
      assert.deepStrictEqual(
        names.filter((name) => !listed.includes(name)),
        []
      )
      for (const model of names) {
        const query = { environment: "testnet", model, sampleMax: 8, except: new Set<never>(), now } as const
        assert.strictEqual((yield* (yield* Leases).candidates(query)).nodes.length, 1)
      }
    }).pipe(Effect.provide(layer))
  )
})
