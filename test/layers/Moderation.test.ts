/** Any hook may be plugged in: what it says is bounded, what it does not say in time or breaks is no flag, and no job waits for it. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { FLAGS_MAX, make } from "../../src/layers/Moderation.ts"
import { Outage } from "../../src/layers/Outage.ts"

const nothing = { request: null, choices: [] }

it.effect("S66: A stub's flags come in order, each once, as codes, and no more than fit", () =>
  Effect.gen(function* () {
    const many = Array.from({ length: 50 }, (_, at) => `flag_${String(at).padStart(2, "0")}`)
    const stub = make({ flags: () => Effect.succeed(["violence", "a sentence of the customer", "violence", ...many]) })
    const flags = yield* stub.flags(nothing)
    assert.deepStrictEqual(flags, many.slice(0, FLAGS_MAX))
    const few = make({ flags: () => Effect.succeed(["violence", "Bad", "self_harm", "violence"]) })
    assert.deepStrictEqual(yield* few.flags(nothing), ["self_harm", "violence"])
  })
)

it.effect("S66: A hook that is out, or hangs, sets nothing", () =>
  Effect.gen(function* () {
    const out = make({ flags: () => Effect.fail(new Outage({ of: "Moderation", during: "flags", cause: null })) })
    assert.deepStrictEqual(yield* out.flags(nothing), [])
    const hanging = yield* Effect.forkChild(make({ flags: () => Effect.never }).flags(nothing))
    yield* TestClock.adjust("1 second")
    assert.deepStrictEqual(yield* Fiber.join(hanging), [])
  })
)
