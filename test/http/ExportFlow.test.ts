/** How an export goes on its way: no page is read before there is room for it, a store that stays away breaks the file off, and only so many go at once. */
import { EventEmitter } from "node:events"
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import type { Call } from "../../src/http/Call.ts"
import { type Exported, exportJobs, makeGate } from "../../src/http/JobExport.ts"
import { JobSearch, type JobSummary } from "../../src/layers/JobSearch.ts"
import { Outage } from "../../src/layers/Outage.ts"
import { freshJob, freshKey, freshNamespace, operator } from "../support/recordFactories.ts"

const summary = (createdAt: number): JobSummary => ({
  jobId: freshJob(),
  namespaceId: freshNamespace(),
  keyId: freshKey(),
  endpoint: "chat",
  mode: "sync",
  model: "tiny",
  priority: "normal",
  state: "completed",
  errorCode: null,
  nodeId: null,
  clientTag: null,
  createdAt,
  finishedAt: null,
  promptTokens: 0,
  outputTokens: 0,
  cost: null,
  queueMs: null,
  firstTokenMs: null,
  totalMs: null
})

const outage = new Outage({ of: "JobSearch", during: "search", cause: "gone" })

/** Jobs without end; from the `failing`-th page on the store is away. */
const endless = (failing = Number.POSITIVE_INFINITY) => {
  const read = { pages: 0 }
  const layer = Layer.succeed(
    JobSearch,
    JobSearch.of({
      search: (_scope, _filter, after, limit) =>
        Effect.suspend(() => {
          if (read.pages >= failing) return Effect.fail(outage)
          read.pages++
          const newest = after?.createdAt ?? 1_000_000
          return Effect.succeed(Array.from({ length: limit }, (_, at) => summary(newest - 1 - at)))
        }),
      finished: () => Effect.die("not asked"),
      searchText: () => Effect.die("not asked"),
      stats: () => Effect.die("not asked"),
      usage: () => Effect.die("not asked")
    })
  )
  return { read, layer }
}

/** A socket with room for so many writes. */
class FakeOutgoing extends EventEmitter {
  headersSent = false
  writableEnded = false
  destroyed = false
  written = 0
  room: number
  constructor(room: number) {
    super()
    this.room = room
  }
  writeHead() {
    this.headersSent = true
  }
  write() {
    this.written++
    return this.written < this.room
  }
  end() {
    this.writableEnded = true
  }
  destroy() {
    this.destroyed = true
    this.emit("close")
  }
  drain(room: number) {
    this.room += room
    this.emit("drain")
  }
}

const callOver = (outgoing: FakeOutgoing) =>
  ({ outgoing, incoming: { method: "GET" }, answerHeaders: {}, cutOff: false }) as unknown as Call

const exported: Exported = {
  query: { scope: operator, filter: {}, text: undefined, owner: "operator" },
  columns: [{ name: "jobId", kind: "text" }],
  rowOf: ({ jobId }) => ({ jobId }),
  bodies: null
}

const settle = Effect.forEach(Array.from({ length: 50 }), () => Effect.yieldNow, { discard: true })

it.effect("S79: no page is read before the client has taken the ones before it", () =>
  Effect.gen(function* () {
    const { read, layer } = endless()
    const outgoing = new FakeOutgoing(3)
    const fiber = yield* Effect.forkChild(Effect.provide(exportJobs(callOver(outgoing), {}, exported), layer))
    yield* settle
    assert.deepStrictEqual([outgoing.written, read.pages], [3, 3])
    outgoing.drain(2)
    yield* settle
    assert.deepStrictEqual([outgoing.written, read.pages], [5, 5])
    yield* Fiber.interrupt(fiber)
  })
)

it.effect("A client that reads nothing is cut off, and its export ends", () =>
  Effect.gen(function* () {
    const { layer } = endless()
    const outgoing = new FakeOutgoing(1)
    const call = callOver(outgoing)
    const fiber = yield* Effect.forkChild(Effect.provide(exportJobs(call, {}, exported), layer))
    yield* settle
    yield* TestClock.adjust("29 seconds")
    assert.isFalse(outgoing.destroyed)
    yield* TestClock.adjust("2 seconds")
    assert.isTrue(outgoing.destroyed)
    assert.isTrue(call.cutOff)
    assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
  })
)

it.effect(
  "A store that is away at the beginning is an answer; one that stays away later breaks the file off unended",
  () =>
    Effect.gen(function* () {
      const atOnce = new FakeOutgoing(99)
      const told = yield* Effect.flip(Effect.provide(exportJobs(callOver(atOnce), {}, exported), endless(0).layer))
      assert.strictEqual(told._tag, "Outage")
      assert.isFalse(atOnce.headersSent)

      const later = new FakeOutgoing(99)
      const fiber = yield* Effect.forkChild(Effect.provide(exportJobs(callOver(later), {}, exported), endless(2).layer))
      yield* settle
      yield* TestClock.adjust("59 seconds")
      assert.isFalse(later.destroyed)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual([later.destroyed, later.writableEnded], [true, false])
      yield* Fiber.interrupt(fiber)
    })
)

it.effect("Only so many exports go on at once, and one that ends or is left makes room", () =>
  Effect.gen(function* () {
    const gate = makeGate(2)
    const first = yield* Effect.forkChild(gate.enter(Effect.never))
    yield* Effect.forkChild(gate.enter(Effect.never))
    yield* settle
    const refusal = yield* Effect.flip(gate.enter(Effect.void))
    assert.strictEqual(refusal.code, "overloaded")
    yield* Fiber.interrupt(first)
    yield* gate.enter(Effect.void)
    yield* gate.enter(Effect.void)
  })
)
