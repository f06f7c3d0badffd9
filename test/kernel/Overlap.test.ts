import { assert, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { TestClock } from "effect/testing"
import type { ActorSpec } from "../../src/kernel/Actor.ts"
import * as Supervisor from "../../src/kernel/Supervisor.ts"
import { die, fail, hang, kernel, obeyed, options, type Order, Stage, stop } from "./Puppet.ts"

const deeds = { fail, die, hang, stop }
const names = ["fail", "die", "hang", "stop", "forks", "restart", "group", "stopChild", "wait", "waitLong"] as const

it.effect.prop(
  "two incarnations of one address never overlap, and it answers in the end, whatever crashes, stops and restarts come",
  {
    strategy: Schema.Literals(["oneForOne", "restForOne", "oneForAll"]),
    steps: Schema.Array(Schema.Literals(names)).check(Schema.isMaxLength(30))
  },
  ({ strategy, steps }) =>
    Effect.gen(function* () {
      const stage = new Stage()
      const root = yield* Supervisor.make(options({ address: "root", waitOut: () => true, intensity: 1_000_000 }))
      const inner = yield* root.startSupervisor(options({ address: "inner", strategy, intensity: 3 }))
      // What runs of an address: its init, its life, and a fork that is slow to end. Never may a new init find any of it.
      const running = new Map<string, number>()
      let overlaps = 0
      const enter = (address: string) => running.set(address, (running.get(address) ?? 0) + 1)
      const leave = (address: string) => Effect.sync(() => running.set(address, running.get(address)! - 1))
      const slow = (address: string): ActorSpec<Order, number> => ({
        ...stage.spec(address, { drainMax: "2 seconds" }),
        behavior: {
          init: () =>
            Effect.suspend(() => {
              if ((running.get(address) ?? 0) > 0) overlaps++
              enter(address)
              return Effect.as(Effect.sleep("50 millis"), 0)
            }).pipe(Effect.onInterrupt(() => leave(address))),
          receive: (obeyed, order, self) => order(obeyed, self),
          stop: () => Effect.andThen(Effect.sleep("200 millis"), leave(address))
        }
      })
      const forks: Order = (n, self) => {
        const slowToEnd = Effect.suspend(() => {
          enter(self.address)
          return Effect.never
        }).pipe(Effect.onInterrupt(() => Effect.andThen(Effect.sleep("300 millis"), leave(self.address))))
        return Effect.as(self.fork(slowToEnd), n)
      }
      const first = yield* inner.start(slow("first"))
      yield* inner.start(slow("second"))
      for (const step of steps) {
        if (step === "wait") yield* TestClock.adjust("100 millis")
        else if (step === "waitLong") yield* TestClock.adjust("3 seconds")
        else if (step === "restart") yield* Effect.forkChild(inner.restartChild("first"), { startImmediately: true })
        else if (step === "group") yield* Effect.forkChild(root.restartChild("inner"), { startImmediately: true })
        else if (step === "stopChild") yield* Effect.forkChild(inner.stopChild("second"), { startImmediately: true })
        else yield* Effect.exit(first.tell(step === "forks" ? forks : deeds[step]))
        yield* Effect.exit(inner.start(slow("second")))
      }
      yield* Effect.forkChild(Effect.forever(Effect.andThen(TestClock.adjust("1 second"), Effect.yieldNow)))
      // An order to hang may still be queued.
      yield* Effect.forkChild(
        Effect.forever(
          Effect.delay(
            Effect.suspend(() => inner.restartChild("first")),
            "100 seconds"
          )
        )
      )
      assert.isNumber(yield* obeyed(first))
      assert.strictEqual(overlaps, 0)
    }).pipe(Effect.scoped, Effect.provide(kernel)),
  { arbitrary: { runs: 150 } }
)
