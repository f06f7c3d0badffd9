/** What the suites cannot ask of every back end: the clock that wakes, seeds that replay, daemons that share one memory. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Random } from "effect"
import { TestClock } from "effect/testing"
import { Leases } from "../../../src/layers/Leases.ts"
import { LiveNodes } from "../../../src/layers/LiveNodes.ts"
import { LiveState } from "../../../src/layers/memory/LiveState.ts"
import * as MemoryLeases from "../../../src/layers/memory/MemoryLeases.ts"
import { make, MemoryLive } from "../../../src/layers/memory/MemoryLive.ts"
import * as MemoryLiveNodes from "../../../src/layers/memory/MemoryLiveNodes.ts"
import { NodeId, SessionId } from "../../../src/schemas/Ids.ts"
import { aLease, aModel, aNode, MINUTE, serves } from "../contracts/LiveFactories.ts"

const doors = Layer.mergeAll(MemoryLiveNodes.layer, MemoryLeases.layer)
const live = doors.pipe(Layer.provideMerge(MemoryLive.layer))

/** A subscription that has seen what happened so far, and a fiber that waits for what comes. */
const waiting = Effect.gen(function* () {
  const capacity = yield* (yield* Leases).capacity
  return { capacity, fiber: yield* Effect.forkChild(capacity.take, { startImmediately: true }) }
})

it.effect("wakes whoever waits for capacity when a lease runs out on the clock, and not before", () =>
  Effect.gen(function* () {
    const leases = yield* Leases
    const node = aNode("llama")
    yield* (yield* LiveNodes).announce(node, 10 * MINUTE)
    yield* leases.take(aLease(node.nodeId, MINUTE), 0)
    const { fiber } = yield* waiting

    yield* TestClock.adjust(MINUTE - 1)
    assert.isUndefined(fiber.pollUnsafe())
    yield* TestClock.adjust(1)
    assert.deepStrictEqual([...(yield* Fiber.join(fiber))], ["llama"])
  }).pipe(Effect.provide(live))
)

it.effect("wakes at the new end of a renewed lease", () =>
  Effect.gen(function* () {
    const leases = yield* Leases
    const node = aNode("llama")
    yield* (yield* LiveNodes).announce(node, 10 * MINUTE)
    const lease = aLease(node.nodeId, MINUTE)
    yield* leases.take(lease, 0)
    yield* leases.renew({ ...lease, expiresAt: 2 * MINUTE }, 0)
    const { fiber } = yield* waiting

    yield* TestClock.adjust(2 * MINUTE - 1)
    assert.isUndefined(fiber.pollUnsafe())
    yield* TestClock.adjust(1)
    assert.deepStrictEqual([...(yield* Fiber.join(fiber))], ["llama"])
  }).pipe(Effect.provide(live))
)

it.effect("wakes in time for a lease that was taken later and ends sooner", () =>
  Effect.gen(function* () {
    const leases = yield* Leases
    const node = aNode("llama", { slots: 2 })
    yield* (yield* LiveNodes).announce(node, 10 * MINUTE)
    yield* leases.take(aLease(node.nodeId, 5 * MINUTE), 0)
    yield* TestClock.adjust(1)
    yield* leases.take(aLease(node.nodeId, MINUTE), 1)
    const { fiber } = yield* waiting
    yield* TestClock.adjust(MINUTE)
    assert.deepStrictEqual([...(yield* Fiber.join(fiber))], ["llama"])
  }).pipe(Effect.provide(live))
)

it.effect("wakes when a node expires, so that whoever waits for it can count again", () =>
  Effect.gen(function* () {
    const nodes = yield* LiveNodes
    yield* nodes.announce(aNode("llama"), MINUTE)
    yield* nodes.announce(aNode("llama"), 10 * MINUTE)
    const { fiber } = yield* waiting
    yield* TestClock.adjust(MINUTE)
    assert.deepStrictEqual([...(yield* Fiber.join(fiber))], ["llama"])
  }).pipe(Effect.provide(live))
)

it.effect(
  "does not wake for a heartbeat that changes nothing, nor for a slot that is still beyond the node's slots",
  () =>
    Effect.gen(function* () {
      const nodes = yield* LiveNodes
      const leases = yield* Leases
      const node = aNode("llama", { slots: 2 })
      const [a, b] = [aLease(node.nodeId, MINUTE), aLease(node.nodeId, MINUTE)]
      yield* nodes.announce(node, MINUTE)
      yield* leases.take(a, 0)
      yield* leases.take(b, 0)
      yield* nodes.announce({ ...node, slots: 1 }, MINUTE)
      const { fiber } = yield* waiting
      yield* nodes.refresh(node.nodeId, node.sessionId, { healthy: true, seenAt: 1 }, MINUTE)
      yield* leases.release(node.nodeId, a.token)
      yield* TestClock.adjust(1)
      assert.isUndefined(fiber.pollUnsafe())
      yield* leases.release(node.nodeId, b.token)
      assert.deepStrictEqual([...(yield* Fiber.join(fiber))], ["llama"])
    }).pipe(Effect.provide(live))
)

it.effect("merges wake-ups and forgets models that nobody serves any more", () =>
  Effect.gen(function* () {
    const nodes = yield* LiveNodes
    const capacity = yield* (yield* Leases).capacity
    const node = aNode("model-0")
    yield* nodes.announce(node, MINUTE)
    for (let i = 1; i <= 1000; i++) {
      yield* nodes.refresh(node.nodeId, node.sessionId, { models: [serves(`model-${i}`)], seenAt: 0 }, MINUTE)
    }
    assert.deepStrictEqual([...(yield* capacity.take)], ["model-1000"])
  }).pipe(Effect.provide(live))
)

it.effect("loses no wake-up when a take is interrupted while it waits", () =>
  Effect.gen(function* () {
    const { capacity, fiber } = yield* waiting
    yield* (yield* LiveNodes).announce(aNode("llama"), MINUTE)
    yield* Fiber.interrupt(fiber)
    assert.deepStrictEqual([...(yield* capacity.take)], ["llama"])
  }).pipe(Effect.provide(live))
)

it.effect("counts a node once that names a model twice", () =>
  Effect.gen(function* () {
    const models = [serves("llama", ["chat"]), serves("llama", ["embeddings"])]
    const nodes = yield* LiveNodes
    yield* nodes.announce(aNode("llama", { slots: 2, models }), MINUTE)
    assert.deepStrictEqual(yield* nodes.models("testnet", 0), [
      { name: "llama", endpoints: ["chat", "embeddings"], nodes: 1, slots: 2, leased: 0 }
    ])
  }).pipe(Effect.provide(live))
)

it.effect("keeps the later of two ends when a token is taken twice", () =>
  Effect.gen(function* () {
    const leases = yield* Leases
    const node = aNode("llama")
    yield* (yield* LiveNodes).announce(node, 10 * MINUTE)
    const lease = aLease(node.nodeId, 2 * MINUTE)
    for (const expiresAt of [MINUTE, 2 * MINUTE, MINUTE]) yield* leases.take({ ...lease, expiresAt }, 0)
    // And a little more, so that who saw it before can tell that it was taken since.
    assert.isFalse(yield* leases.take(aLease(node.nodeId, 10 * MINUTE), 2 * MINUTE))
    assert.isTrue(yield* leases.take(aLease(node.nodeId, 10 * MINUTE), 2 * MINUTE + 1))
  }).pipe(Effect.provide(live))
)

it.effect("keeps its sums right when a lease has run out by the clock as it is taken", () =>
  Effect.gen(function* () {
    yield* TestClock.adjust(10 * MINUTE)
    const nodes = yield* LiveNodes
    const leases = yield* Leases
    const node = aNode("llama")
    yield* nodes.announce(node, 20 * MINUTE)
    const { fiber: woken } = yield* waiting
    assert.isTrue(yield* leases.take(aLease(node.nodeId, 5 * MINUTE), 0))
    yield* Fiber.join(woken)
    assert.strictEqual((yield* nodes.models("testnet", 0))[0]?.leased, 0)
    const candidates = {
      environment: "testnet",
      model: "llama",
      sampleMax: 1,
      except: new Set<never>(),
      now: 0
    } as const
    assert.strictEqual((yield* leases.candidates(candidates)).free, 1)
  }).pipe(Effect.provide(live))
)

it.effect("finds what has run out by the clock in a turn of its own, not within the call that brought it", () =>
  Effect.gen(function* () {
    yield* TestClock.adjust(10 * MINUTE)
    const nodes = yield* LiveNodes
    const node = aNode("llama")
    yield* nodes.announce(node, 5 * MINUTE)
    assert.isNotNull(yield* nodes.get(node.nodeId, 0))
    yield* TestClock.adjust(0)
    assert.isNull(yield* nodes.get(node.nodeId, 0))
  }).pipe(Effect.provide(live))
)

it.effect("draws the same candidates again from the same seed", () => {
  const nodes = Array.from({ length: 50 }, (_, i) =>
    aNode("llama", { nodeId: NodeId.make(`0x${String(i).padStart(40, "0")}`), sessionId: SessionId.make("session_a") })
  )
  const draws = Effect.gen(function* () {
    const leases = yield* Leases
    yield* Effect.forEach(nodes, (node) => Effect.flatMap(LiveNodes, ({ announce }) => announce(node, MINUTE)))
    const drawn: Array<string> = []
    for (let i = 0; i < 20; i++) {
      const query = { environment: "testnet", model: "llama", sampleMax: 3, except: new Set<never>(), now: 0 } as const
      for (const { nodeId } of (yield* leases.candidates(query)).nodes) {
        drawn.push(nodeId)
        yield* leases.take(aLease(nodeId, MINUTE), 0)
      }
    }
    return drawn
  }).pipe(Effect.provide(live, { local: true }))
  return Effect.gen(function* () {
    const [once, again, other] = [
      yield* Random.withSeed(draws, "a"),
      yield* Random.withSeed(draws, "a"),
      yield* Random.withSeed(draws, "b")
    ]
    assert.strictEqual(once.length, 50)
    assert.deepStrictEqual(again, once)
    assert.notDeepEqual(other, once)
  })
})

it.effect("is one memory for all daemons that are given it", () =>
  Effect.gen(function* () {
    const memory = Layer.succeed(MemoryLive, yield* make())
    const daemon = Layer.build(Layer.fresh(doors).pipe(Layer.provide(memory)))
    const [a, b] = [yield* daemon, yield* daemon]
    const node = aNode("llama")
    yield* Effect.provide(
      Effect.flatMap(LiveNodes, ({ announce }) => announce(node, MINUTE)),
      a
    )
    const take = Effect.flatMap(Leases, (leases) => leases.take(aLease(node.nodeId, MINUTE), 0))
    assert.deepStrictEqual([yield* Effect.provide(take, a), yield* Effect.provide(take, b)], [true, false])
  })
)

it("keeps nothing of what has gone: leases, nodes, models", () => {
  const state = new LiveState({ capacity: () => {}, sooner: () => {} })
  for (let i = 0; i < 100; i++) {
    const node = aNode(aModel())
    state.announce(node, MINUTE)
    const lease = aLease(node.nodeId, 2 * MINUTE)
    state.take(lease, 0)
    if (i % 2 === 0) state.withdraw(node.nodeId, node.sessionId)
    if (i % 3 === 0) state.release(node.nodeId, lease.token)
  }
  state.sweep(2 * MINUTE)
  assert.strictEqual(state.modelCount, 0)
  assert.strictEqual(state.nextExpiry(), Infinity)
  assert.deepStrictEqual(state.list(0), [])
})
