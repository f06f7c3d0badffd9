/** Checks come to an end and a level, whatever becomes of them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import {
  bad,
  type Check,
  checked,
  clock,
  examined,
  good,
  majorOf,
  room,
  size,
  unanswered
} from "../../src/layers/Diagnosis.ts"

const check = (verdict: Check["verdict"], what = "probe"): Check => ({ what, todo: "do this", verdict })
const found = { server: "Server", what: "probe", todo: "do this" }
const reach = { todo: "go there", open: Effect.succeed(1) }

describe("a check", () => {
  it.effect("that fails or breaks is a bad finding with the innermost reason on one line", () =>
    Effect.gen(function* () {
      const wrapped = new Error("query failed", { cause: new Error("permission\n  denied") })
      for (const verdict of [Effect.fail(wrapped), Effect.die(wrapped)]) {
        const findings = yield* checked("Server", check(verdict))
        assert.deepStrictEqual(findings, [{ ...found, level: "bad", said: "permission denied" }])
      }
      const [refused] = yield* checked("Server", check(Effect.fail(new AggregateError([new Error("refused")]))))
      assert.strictEqual(refused?.said, "refused")
    })
  )

  it.effect("that hangs is a bad finding after 3 s, also when it cannot be interrupted", () =>
    Effect.gen(function* () {
      for (const verdict of [Effect.never, Effect.uninterruptible(Effect.never)]) {
        const fiber = yield* Effect.forkChild(checked("Server", check(verdict)))
        yield* TestClock.adjust("3 seconds")
        const findings = yield* Fiber.join(fiber)
        assert.deepStrictEqual(findings, [{ ...found, level: "bad", said: "no answer within 3 s" }])
      }
    })
  )
})

describe("an examination", () => {
  it.effect("of what cannot be opened is one bad finding", () =>
    Effect.gen(function* () {
      const open = Effect.fail(unanswered(new Error("refused")))
      const findings = yield* examined("Server", { todo: "go there", open }, () => [check(Effect.succeed(good("yes")))])
      assert.deepStrictEqual(findings, [
        { server: "Server", what: "reachable", level: "bad", said: "refused", todo: "go there" }
      ])
    })
  )

  it.effect("goes on after a check that fails, and closes what it opened", () =>
    Effect.gen(function* () {
      let closed = 0
      const open = Effect.acquireRelease(Effect.succeed(7), () => Effect.sync(() => void (closed += 1)))
      const findings = yield* examined("Server", { todo: "", open }, (seven) => [
        check(Effect.fail("no"), "first"),
        check(Effect.succeed([good(`${seven}`), bad("8", "less")]), "second")
      ])
      assert.deepStrictEqual(
        findings.map(({ what, level, said }) => [what, level, said]),
        [
          ["first", "bad", "no"],
          ["second", "good", "7"],
          ["second", "bad", "8"]
        ]
      )
      assert.strictEqual(closed, 1)
    })
  )

  it.effect("asks nothing more once a question hung, and says what it left out", () =>
    Effect.gen(function* () {
      let asked = 0
      const later = Effect.sync(() => ((asked += 1), good("yes")))
      const fiber = yield* Effect.forkChild(
        examined("Server", reach, () => [check(Effect.never, "hangs"), check(later, "size"), check(later, "age")])
      )
      yield* TestClock.adjust("3 seconds")
      const findings = yield* Fiber.join(fiber)
      assert.deepStrictEqual(
        findings.map(({ level, said }) => [level, said]),
        [
          ["bad", "no answer within 3 s"],
          ["bad", "size, age"]
        ]
      )
      assert.strictEqual(asked, 0)
    })
  )

  it.effect("takes 8 s for a server at most, however many slow answers there are", () =>
    Effect.gen(function* () {
      const slow = Effect.as(Effect.sleep("2500 millis"), good("at last"))
      const names = ["a", "b", "c", "d", "e", "f"]
      const fiber = yield* Effect.forkChild(
        examined("Server", reach, () => names.map((name) => check(slow, name))),
        { startImmediately: true }
      )
      for (let step = 0; step < 16; step++) yield* TestClock.adjust("500 millis")
      const findings = yield* Fiber.join(fiber)
      assert.deepStrictEqual(
        findings.map(({ what, level }) => `${what} ${level}`),
        ["a good", "b good", "c good", "d bad", "what was not looked at bad"]
      )
    })
  )
})

describe("a clock", () => {
  const told = (offset: number, tripMs = 0, within = 0) =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_000_000)
      const theirs = Effect.as(Effect.sleep(tripMs), 1_000_000 + offset)
      const fiber = yield* Effect.forkChild(clock(theirs, within))
      yield* TestClock.adjust(tripMs)
      return yield* Fiber.join(fiber)
    })

  it.effect("is good within a second, a warning up to ten and bad beyond, to either side", () =>
    Effect.gen(function* () {
      for (const [offset, level] of [
        [1_000, "good"],
        [1_001, "warning"],
        [10_000, "warning"],
        [10_001, "bad"]
      ] as const) {
        for (const sign of [1, -1]) assert.strictEqual((yield* told(sign * offset)).level, level, `${sign * offset}`)
      }
      assert.strictEqual((yield* told(-4_500)).said, "4.5 s behind this machine's")
    })
  )

  it.effect("is not blamed for what a slow answer or whole seconds may explain", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* told(2_400, 2_000)).level, "good")
      assert.strictEqual((yield* told(3_100, 2_000)).level, "warning")
      assert.strictEqual((yield* told(1_400, 0, 500)).level, "good")
    })
  )
})

describe("room", () => {
  it("is a warning below 15 % and bad below 5 %", () => {
    assert.deepStrictEqual(
      [15, 14.9, 5, 4.9].map((free) => room(free, 100).level),
      ["good", "warning", "warning", "bad"]
    )
    assert.strictEqual(room(3 * 2 ** 29, 2 ** 31).said, "1.5 GiB of 2.0 GiB are free (75 %)")
    assert.deepStrictEqual([0, 1023, 1024, 2 ** 50].map(size), ["0 bytes", "1023 bytes", "1.0 KiB", "1024.0 TiB"])
  })

  it("and a version are told apart from texts that say nothing", () => {
    assert.deepStrictEqual(["18.4 (Debian)", "v24.1.0", "none"].map(majorOf), [18, 24, Number.NaN])
  })
})
