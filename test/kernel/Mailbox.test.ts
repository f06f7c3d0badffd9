import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Schema } from "effect"
import { describe } from "vitest"
import { Envelope, Mailbox } from "../../src/kernel/Mailbox.ts"
import { hang, kernel, nothing, obeyed, type Order, quiet, trio } from "./Puppet.ts"

describe("a mailbox", () => {
  it.effect.prop(
    "is a list that never holds more than its capacity of foreign messages, and loses none of its own",
    {
      capacityMax: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 4 })),
      whenFull: Schema.Literals(["refuse", "dropOldest"]),
      steps: Schema.Array(Schema.Literals(["offer", "offer", "own", "take", "dropOwn"]))
    },
    ({ capacityMax, whenFull, steps }) =>
      Effect.sync(() => {
        const mailbox = new Mailbox<never>({ capacityMax, whenFull })
        let model: Array<{ readonly n: number; readonly own: boolean }> = []
        for (const [n, step] of steps.entries()) {
          if (step === "take") assert.strictEqual(mailbox.take()?.message, model.shift()?.n)
          else if (step === "dropOwn") {
            mailbox.dropOwn()
            model = model.filter(({ own }) => !own)
          } else {
            const own = step === "own"
            const fallen = mailbox.offer(new Envelope<never>(n, undefined, own, n))?.message
            const full = !own && model.filter((entry) => !entry.own).length === capacityMax
            const out = full ? (whenFull === "refuse" ? n : model.find((entry) => !entry.own)!.n) : undefined
            assert.strictEqual(fallen, out)
            model = [...model, { n, own }].filter((entry) => entry.n !== out)
          }
          assert.strictEqual(mailbox.depth, model.length)
          assert.strictEqual(mailbox.oldestAgeMs(1000), model[0] === undefined ? 0 : 1000 - model[0].n)
        }
      })
  )

  it.effect("refuses with MailboxFull and queues nothing, when it is full of commands", () =>
    Effect.gen(function* () {
      const { a, supervisor } = yield* trio({}, { mailbox: { capacityMax: 2, whenFull: "refuse" } })
      yield* a.tell(hang)
      yield* quiet
      assert.isTrue(a.tellUnsafe(nothing))
      assert.isTrue(a.tellUnsafe(nothing))
      assert.isFalse(a.tellUnsafe(nothing))
      const told = yield* Effect.flip(a.tell(nothing))
      assert.strictEqual(told._tag === "MailboxFull" && told.capacityMax, 2)
      assert.strictEqual((yield* Effect.flip(obeyed(a)))._tag, "MailboxFull")
      assert.strictEqual((yield* supervisor.snapshot).children[0]?.mailboxDepth, 2)
    }).pipe(Effect.provide(kernel))
  )

  it.effect("lets the oldest go for the newest, and says so to whoever asked it", () =>
    Effect.gen(function* () {
      const { a, supervisor } = yield* trio({}, { mailbox: { capacityMax: 2, whenFull: "dropOldest" } })
      const heard: Array<number> = []
      const beat =
        (n: number): Order =>
        (state) =>
          Effect.sync(() => (heard.push(n), state))
      yield* a.tell(hang)
      yield* quiet
      const oldest = yield* Effect.forkChild(Effect.flip(obeyed(a)), { startImmediately: true })
      for (const n of [1, 2, 3]) yield* a.tell(beat(n))
      assert.strictEqual((yield* Fiber.join(oldest))._tag, "MailboxFull")
      yield* supervisor.restartChild("a")
      yield* quiet
      assert.deepStrictEqual(heard, [2, 3])
    }).pipe(Effect.provide(kernel))
  )
})
