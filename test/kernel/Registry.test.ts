import { assert, it } from "@effect/vitest"
import { Effect, Option, PubSub } from "effect"
import { TestClock } from "effect/testing"
import { describe } from "vitest"
import type { Behavior } from "../../src/kernel/Actor.ts"
import { ActorEvents } from "../../src/kernel/ActorEvents.ts"
import type { ActorRef, Reply } from "../../src/kernel/ActorRef.ts"
import { type ActorSnapshot, Registry } from "../../src/kernel/Registry.ts"
import * as Supervisor from "../../src/kernel/Supervisor.ts"
import { fail, hang, kernel, nothing, obeyed, options, type Order, quiet, Stage, trio, until } from "./Puppet.ts"

describe("the registry", () => {
  it.effect("finds an actor by its address from its start to its end, also while it waits for a restart", () =>
    Effect.gen(function* () {
      const registry = yield* Registry
      const { supervisor, stage, a } = yield* trio()
      const found = Option.getOrThrow(registry.find<Order>("a"))
      assert.strictEqual(yield* obeyed(found), 0)
      yield* a.tell(fail)
      yield* until(() => stage.journal.includes("a ended: Crashed"))
      assert.isTrue(Option.isSome(registry.find("a")))
      yield* supervisor.stopChild("a")
      assert.isTrue(Option.isNone(registry.find("a")))
      assert.deepStrictEqual(
        (yield* registry.list).map(({ address }) => address),
        ["b", "c"]
      )
    }).pipe(Effect.provide(kernel))
  )

  it.effect("shows the tree with state, depth and age, and of a crash its tag and message", () =>
    Effect.gen(function* () {
      const { supervisor, stage, a, b } = yield* trio()
      yield* supervisor.startSupervisor({ ...options(), address: "inner" })
      yield* a.tell(hang)
      yield* quiet
      yield* a.tell(nothing)
      yield* TestClock.adjust("250 millis")
      yield* a.tell(nothing)
      yield* b.tell(fail)
      yield* until(() => stage.journal.includes("b ended: Crashed"))
      const brief = (of: ActorSnapshot): unknown => {
        const { startedAt: _, children, ...rest } = of
        return { ...rest, children: children.map(brief) }
      }
      const still = { restarts: 0, mailboxDepth: 0, oldestAgeMs: 0, children: [] }
      assert.deepStrictEqual((yield* (yield* Registry).tree).map(brief), [
        {
          ...still,
          address: "root",
          kind: "supervisor",
          status: "running",
          children: [
            { ...still, address: "a", kind: "puppet", status: "running", mailboxDepth: 2, oldestAgeMs: 250 },
            { ...still, address: "b", kind: "puppet", status: "restarting", lastCrash: "Told: told to fail" },
            { ...still, address: "c", kind: "puppet", status: "running" },
            { ...still, address: "inner", kind: "supervisor", status: "running" }
          ]
        }
      ])
    }).pipe(Effect.provide(kernel))
  )

  it.effect("is empty again, when the root's scope has closed", () =>
    Effect.gen(function* () {
      yield* Effect.scoped(trio())
      assert.deepStrictEqual(yield* (yield* Registry).tree, [])
      assert.deepStrictEqual(yield* (yield* Registry).list, [])
    }).pipe(Effect.provide(kernel))
  )

  it.effect("holds a hundred thousand actors that start, hear a message and stop", () =>
    Effect.gen(function* () {
      const many = 100_000
      let handled = 0
      const behavior: Behavior<Reply<number> | undefined, number> = {
        init: () => Effect.succeed(0),
        receive: (state, reply) =>
          Effect.sync(() => {
            handled++
            reply?.succeed(state)
            return state + 1
          })
      }
      const registry = yield* Registry
      const supervisor = yield* Supervisor.make(options())
      const refs: Array<ActorRef<Reply<number> | undefined>> = []
      for (let i = 0; i < many; i++) {
        refs.push(yield* supervisor.start({ address: `many/${i}`, kind: "many", behavior, restart: "permanent" }))
      }
      for (const ref of refs) assert.isTrue(ref.tellUnsafe(undefined))
      const last = Option.getOrThrow(registry.find<Reply<number> | undefined>(`many/${many - 1}`))
      assert.strictEqual(yield* last.ask<number>((reply) => reply, "1 minute"), 1)
      assert.strictEqual(handled, many + 1)
      assert.strictEqual((yield* registry.list).length, many)
      yield* supervisor.drain("1 minute")
      assert.strictEqual((yield* registry.list).length, 0)
      assert.isFalse(refs[0]!.tellUnsafe(undefined))
    }).pipe(Effect.provide(kernel))
  )
})

describe("actor events", () => {
  it.effect("tell a subscriber of starts, crashes, restarts, ends, escalations and drops, in order", () =>
    Effect.gen(function* () {
      const subscription = yield* (yield* ActorEvents).subscribe
      const stage = new Stage()
      const supervisor = yield* Supervisor.make(options({ intensity: 1 }))
      const a = yield* supervisor.start(stage.spec("a", { mailbox: { capacityMax: 1, whenFull: "refuse" } }))
      yield* until(() => stage.journal.length === 1)
      yield* a.tell(fail)
      assert.isFalse(a.tellUnsafe(nothing))
      yield* until(() => stage.journal.length === 2)
      yield* TestClock.adjust("1 second")
      yield* until(() => stage.journal.length === 3)
      yield* a.tell(fail)
      yield* Effect.flip(supervisor.escalated)
      assert.isFalse(a.tellUnsafe(nothing))
      const events = yield* PubSub.takeAll(subscription)
      const seen = events.map(({ _tag, address }) => `${address} ${_tag}`)
      assert.deepStrictEqual(seen, [
        "root Started",
        "a Started",
        "a Dropped",
        "a Crashed",
        "a Restarted",
        "a Crashed",
        "root Escalated",
        "a Stopped",
        "a Dropped"
      ])
      const crash = events.find((event) => event._tag === "Crashed")
      assert.strictEqual(crash?._tag === "Crashed" && crash.crash, "Told: told to fail")
    }).pipe(Effect.provide(kernel))
  )

  it.effect("are not even made, when nobody listens any more", () =>
    Effect.gen(function* () {
      const events = yield* ActorEvents
      yield* Effect.scoped(events.subscribe)
      let made = 0
      events.publish(() => {
        made++
        return { _tag: "Started", address: "a", kind: "puppet", at: 0 }
      })
      assert.strictEqual(made, 0)
    }).pipe(Effect.provide(kernel))
  )

  it.effect("lose the oldest, and hold nobody up, when a subscriber does not keep up", () =>
    Effect.gen(function* () {
      const events = yield* ActorEvents
      const subscription = yield* events.subscribe
      for (let at = 0; at < 5000; at++) events.publish(() => ({ _tag: "Started", address: "a", kind: "puppet", at }))
      const kept = yield* PubSub.takeAll(subscription)
      assert.isBelow(kept.length, 5000)
      assert.strictEqual(kept.at(-1)?.at, 4999)
    }).pipe(Effect.provide(kernel))
  )
})
